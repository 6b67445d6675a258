# Workers follow the number of open shards, their processors, and how late the stream is read. CloudWatch has
# no metric of the first, so the fleet publishes it: one worker writes OpenShards and Workers, each worker how
# late it reads (Lag), a line a minute in CloudWatch's embedded metric format on standard output. The log driver
# brings it to the log group, and CloudWatch Logs makes metrics of it; no right is needed for that.

locals {
  scales = local.on_ecs && var.worker.max > var.worker.min

  # Whoever switches the metrics off scales by what AWS itself measures.
  fleet_speaks = local.scales && try(tobool(local.settings.cloudwatch.embedded_metrics), false)
  fleet_metrics = {
    namespace  = try(local.settings.cloudwatch.namespace, "tidewire")
    dimensions = { LeaseTable = local.settings.lease.table }
  }

  # How late the stream is read, by AWS's own measure: the age of what any consumer was last given (others on
  # the stream count, too), or, with enhanced fan-out, of what our consumer was last sent. Where `auto` has to
  # poll the latter says nothing.
  fans_out      = contains(["fan-out", "auto"], try(local.settings.source.mode, "polling"))
  behind_metric = local.fans_out ? "SubscribeToShardEvent.MillisBehindLatest" : "GetRecords.IteratorAgeMilliseconds"
  behind_of = merge(
    { StreamName = local.stream_name },
    { for key in ["ConsumerName"] : key => try(local.settings.source.consumer, local.settings.lease.table) if local.fans_out },
  )

  # Our own metric is in seconds, AWS's in milliseconds.
  behind_threshold = var.worker.behind_max_s * (local.fleet_speaks ? 1 : 1000)
}

resource "aws_appautoscaling_target" "worker" {
  count = local.on_ecs ? 1 : 0

  service_namespace  = "ecs"
  resource_id        = "service/${local.cluster_name}/${aws_ecs_service.worker[0].name}"
  scalable_dimension = "ecs:service:DesiredCount"
  min_capacity       = var.worker.min
  max_capacity       = var.worker.max
  tags               = local.tags
}

# OpenShards / Workers is to be shards_per_worker: with one or more, that is never more workers than shards.
resource "aws_appautoscaling_policy" "shards" {
  count = local.fleet_speaks ? 1 : 0

  name               = "${var.name}-worker-shards"
  policy_type        = "TargetTrackingScaling"
  service_namespace  = aws_appautoscaling_target.worker[0].service_namespace
  resource_id        = aws_appautoscaling_target.worker[0].resource_id
  scalable_dimension = aws_appautoscaling_target.worker[0].scalable_dimension

  target_tracking_scaling_policy_configuration {
    target_value = var.worker.shards_per_worker
    # Each change moves leases: out quickly, in slowly. Workers go only when all policies agree.
    scale_out_cooldown = 120
    scale_in_cooldown  = 900

    customized_metric_specification {
      dynamic "metrics" {
        for_each = { open = "OpenShards", workers = "Workers" }

        content {
          id          = metrics.key
          return_data = false

          metric_stat {
            # A second worker may say the same for a moment.
            stat = "Maximum"

            metric {
              namespace   = local.fleet_metrics.namespace
              metric_name = metrics.value

              dynamic "dimensions" {
                for_each = local.fleet_metrics.dimensions

                content {
                  name  = dimensions.key
                  value = dimensions.value
                }
              }
            }
          }
        }
      }

      metrics {
        id         = "shards_per_worker"
        label      = "Open shards for each worker"
        expression = "open / workers"
      }
    }
  }
}

resource "aws_appautoscaling_policy" "processor" {
  count = local.scales ? 1 : 0

  name               = "${var.name}-worker-processor"
  policy_type        = "TargetTrackingScaling"
  service_namespace  = aws_appautoscaling_target.worker[0].service_namespace
  resource_id        = aws_appautoscaling_target.worker[0].resource_id
  scalable_dimension = aws_appautoscaling_target.worker[0].scalable_dimension

  target_tracking_scaling_policy_configuration {
    target_value       = var.worker.cpu_target_percent
    scale_out_cooldown = 120
    scale_in_cooldown  = 900

    dynamic "predefined_metric_specification" {
      for_each = local.fleet_speaks ? [] : ["ECSServiceAverageCPUUtilization"]

      content {
        predefined_metric_type = predefined_metric_specification.value
      }
    }

    dynamic "customized_metric_specification" {
      for_each = local.fleet_speaks ? ["processor"] : []

      content {
        dynamic "metrics" {
          for_each = { open = "OpenShards", workers = "Workers" }

          content {
            id          = metrics.key
            return_data = false

            metric_stat {
              stat = "Maximum"

              metric {
                namespace   = local.fleet_metrics.namespace
                metric_name = metrics.value

                dynamic "dimensions" {
                  for_each = local.fleet_metrics.dimensions

                  content {
                    name  = dimensions.key
                    value = dimensions.value
                  }
                }
              }
            }
          }
        }

        metrics {
          id          = "processor"
          return_data = false

          metric_stat {
            stat = "Average"

            metric {
              namespace   = "AWS/ECS"
              metric_name = "CPUUtilization"

              dimensions {
                name  = "ClusterName"
                value = local.cluster_name
              }

              dimensions {
                name  = "ServiceName"
                value = aws_ecs_service.worker[0].name
              }
            }
          }
        }

        # With a worker for each shard one more would stand by, however busy they are.
        metrics {
          id         = "processor_that_more_would_help"
          label      = "Processor, at most the target where no shard is left for one more"
          expression = "IF(workers < open OR processor < ${var.worker.cpu_target_percent}, processor, ${var.worker.cpu_target_percent})"
        }
      }
    }
  }
}

resource "aws_appautoscaling_policy" "behind" {
  count = local.scales ? 1 : 0

  name               = "${var.name}-worker-behind"
  policy_type        = "StepScaling"
  service_namespace  = aws_appautoscaling_target.worker[0].service_namespace
  resource_id        = aws_appautoscaling_target.worker[0].resource_id
  scalable_dimension = aws_appautoscaling_target.worker[0].scalable_dimension

  step_scaling_policy_configuration {
    adjustment_type         = "ChangeInCapacity"
    metric_aggregation_type = "Maximum"
    cooldown                = 300

    # One more, and two where it is ten times as late. Only out: the others say when it is enough.
    step_adjustment {
      metric_interval_lower_bound = 0
      metric_interval_upper_bound = local.behind_threshold * 9
      scaling_adjustment          = 1
    }

    step_adjustment {
      metric_interval_lower_bound = local.behind_threshold * 9
      scaling_adjustment          = 2
    }
  }
}

resource "aws_cloudwatch_metric_alarm" "behind" {
  count = local.scales ? 1 : 0

  alarm_name        = "${var.name}-worker-behind"
  alarm_description = "The stream is read late: a worker is added"

  # Without the fleet's own metrics: what AWS measures.
  namespace   = local.fleet_speaks ? null : "AWS/Kinesis"
  metric_name = local.fleet_speaks ? null : local.behind_metric
  dimensions  = local.fleet_speaks ? null : local.behind_of
  statistic   = local.fleet_speaks ? null : "Maximum"
  period      = local.fleet_speaks ? null : 60

  dynamic "metric_query" {
    for_each = local.fleet_speaks ? { lag = "Lag", open = "OpenShards", workers = "Workers" } : {}

    content {
      id          = metric_query.key
      return_data = false

      metric {
        namespace   = local.fleet_metrics.namespace
        metric_name = metric_query.value
        dimensions  = local.fleet_metrics.dimensions
        stat        = "Maximum"
        period      = 60
      }
    }
  }

  dynamic "metric_query" {
    for_each = local.fleet_speaks ? ["behind"] : []

    content {
      id          = metric_query.value
      label       = "Seconds behind, where one more worker would have a shard to read"
      expression  = "IF(workers < open, lag, 0)"
      return_data = true
    }
  }

  evaluation_periods  = 3
  comparison_operator = "GreaterThanThreshold"
  threshold           = local.behind_threshold
  treat_missing_data  = "notBreaching"
  alarm_actions       = [aws_appautoscaling_policy.behind[0].arn]
  tags                = local.tags
}

resource "aws_cloudwatch_metric_alarm" "nearly_lost" {
  count = local.stream_is_ours ? 1 : 0

  alarm_name          = "${var.name}-nearly-lost"
  alarm_description   = "Records wait for half of the time that the stream keeps them: a sink is down, or no worker reads a shard"
  namespace           = "AWS/Kinesis"
  metric_name         = local.behind_metric
  dimensions          = local.behind_of
  statistic           = "Maximum"
  period              = 300
  evaluation_periods  = 1
  comparison_operator = "GreaterThanThreshold"
  threshold           = var.stream.retention_hours * 3600 * 1000 / 2
  treat_missing_data  = "notBreaching"
  alarm_actions       = var.alarm_actions
  ok_actions          = var.alarm_actions
  tags                = local.tags
}

resource "aws_cloudwatch_metric_alarm" "dead_letters" {
  alarm_name          = "${var.name}-dead-letters"
  alarm_description   = "Dead letters wait for somebody to look at them"
  namespace           = "AWS/SQS"
  metric_name         = "ApproximateNumberOfMessagesVisible"
  dimensions          = { QueueName = aws_sqs_queue.dead_letters.name }
  statistic           = "Maximum"
  period              = 300
  evaluation_periods  = 1
  comparison_operator = "GreaterThanThreshold"
  threshold           = 0
  treat_missing_data  = "notBreaching"
  alarm_actions       = var.alarm_actions
  ok_actions          = var.alarm_actions
  tags                = local.tags
}
