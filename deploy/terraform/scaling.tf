# Workers follow what AWS itself measures: their processors, and how late the stream is read. They do not
# follow the number of shards, for which CloudWatch has no metric of its own; worker.max holds them below it.

locals {
  scales = local.on_ecs && var.worker.max > var.worker.min

  # How late the stream is read, by AWS's own measure: the age of what any consumer was last given (others on
  # the stream count, too), or, with enhanced fan-out, of what our consumer was last sent. Where `auto` has to
  # poll the latter says nothing, and nothing is scaled by it.
  fans_out      = contains(["fan-out", "auto"], try(local.settings.source.mode, "polling"))
  behind_metric = local.fans_out ? "SubscribeToShardEvent.MillisBehindLatest" : "GetRecords.IteratorAgeMilliseconds"
  behind_of = merge(
    { StreamName = local.stream_name },
    { for key in ["ConsumerName"] : key => try(local.settings.source.consumer, local.settings.lease.table) if local.fans_out },
  )
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

resource "aws_appautoscaling_policy" "processor" {
  count = local.scales ? 1 : 0

  name               = "${var.name}-worker-processor"
  policy_type        = "TargetTrackingScaling"
  service_namespace  = aws_appautoscaling_target.worker[0].service_namespace
  resource_id        = aws_appautoscaling_target.worker[0].resource_id
  scalable_dimension = aws_appautoscaling_target.worker[0].scalable_dimension

  target_tracking_scaling_policy_configuration {
    target_value = var.worker.cpu_target_percent
    # Each change moves leases: out quickly, in slowly.
    scale_out_cooldown = 120
    scale_in_cooldown  = 900

    predefined_metric_specification {
      predefined_metric_type = "ECSServiceAverageCPUUtilization"
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

    # One more, and two where it is ten times as late. Only out: the processors say when it is enough.
    step_adjustment {
      metric_interval_lower_bound = 0
      metric_interval_upper_bound = var.worker.behind_max_s * 9000
      scaling_adjustment          = 1
    }

    step_adjustment {
      metric_interval_lower_bound = var.worker.behind_max_s * 9000
      scaling_adjustment          = 2
    }
  }
}

resource "aws_cloudwatch_metric_alarm" "behind" {
  count = local.scales ? 1 : 0

  alarm_name          = "${var.name}-worker-behind"
  alarm_description   = "The stream is read late: a worker is added"
  namespace           = "AWS/Kinesis"
  metric_name         = local.behind_metric
  dimensions          = local.behind_of
  statistic           = "Maximum"
  period              = 60
  evaluation_periods  = 3
  comparison_operator = "GreaterThanThreshold"
  threshold           = var.worker.behind_max_s * 1000
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
