# What the module makes of its inputs. No account, no provider: AWS's answers are made up below.

mock_provider "aws" {
  mock_data "aws_caller_identity" {
    defaults = { account_id = "123456789012" }
  }
  mock_data "aws_partition" {
    defaults = { partition = "aws" }
  }
  mock_data "aws_region" {
    defaults = { region = "eu-central-1" }
  }
  mock_resource "aws_apigatewayv2_api" {
    defaults = { execution_arn = "arn:aws:execute-api:eu-central-1:123456789012:abc123" }
  }
  mock_resource "aws_apigatewayv2_stage" {
    defaults = { invoke_url = "wss://abc123.execute-api.eu-central-1.amazonaws.com/prod" }
  }
  mock_resource "aws_kinesis_stream" {
    defaults = { arn = "arn:aws:kinesis:eu-central-1:123456789012:stream/tidewire-readings" }
  }
  mock_resource "aws_ecs_cluster" {
    defaults = { arn = "arn:aws:ecs:eu-central-1:123456789012:cluster/tidewire" }
  }
}

variables {
  gateway = { jwks_url = "https://issuer.example/jwks.json" }
  image   = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/team/tidewire@sha256:00"
  network = {
    vpc_id       = "vpc-1"
    subnet_ids   = ["subnet-1", "subnet-2"]
    metrics_from = ["sg-prometheus"]
  }
}

run "from_device_to_stream" {
  assert {
    condition     = one(aws_iot_topic_rule.readings[0].kinesis).partition_key == "$${topic(2)}"
    error_message = "a device's messages must share a partition key"
  }
  assert {
    condition     = aws_iot_topic_rule.readings[0].error_action[0].sqs[0].queue_url == aws_sqs_queue.rule_errors[0].url
    error_message = "what the rule cannot put must be kept"
  }
  assert {
    condition     = aws_kinesis_stream.this[0].stream_mode_details[0].stream_mode == "ON_DEMAND" && aws_kinesis_stream.this[0].shard_count == null
    error_message = "without shards, on demand"
  }
  assert {
    condition     = aws_kinesis_stream.this[0].encryption_type == "KMS"
    error_message = "the stream must be encrypted"
  }
}

run "tables_and_queues" {
  assert {
    condition     = aws_dynamodb_table.leases[0].hash_key == "leaseKey" && aws_dynamodb_table.leases[0].range_key == null
    error_message = "the lease table must be KCL's"
  }
  assert {
    condition     = aws_dynamodb_table.connections[0].hash_key == "LookupKey" && aws_dynamodb_table.connections[0].range_key == "SortKey"
    error_message = "the connection table must be the blog's"
  }
  assert {
    condition     = aws_dynamodb_table.connections[0].ttl[0].attribute_name == "expires_at" && aws_dynamodb_table.connections[0].ttl[0].enabled
    error_message = "connections must expire"
  }
  assert {
    condition     = alltrue([for table in [aws_dynamodb_table.leases[0], aws_dynamodb_table.connections[0]] : table.point_in_time_recovery[0].enabled && table.deletion_protection_enabled])
    error_message = "tables must be recoverable and guarded"
  }
  assert {
    condition     = aws_timestreamwrite_table.this["readings"].magnetic_store_write_properties[0].magnetic_store_rejected_data_location[0].s3_configuration[0].bucket_name == aws_s3_bucket.rejected[0].bucket
    error_message = "late rejections need their bucket"
  }
  assert {
    condition     = aws_sqs_queue.live["0"].message_retention_seconds == 300 && aws_sqs_queue.dead_letters.message_retention_seconds == 1209600
    error_message = "live messages are short-lived, dead letters wait 14 days"
  }
  assert {
    condition     = jsondecode(aws_sqs_queue.live["0"].redrive_policy).deadLetterTargetArn == aws_sqs_queue.live_unserved[0].arn
    error_message = "the live queue needs its own dead-letter queue"
  }
}

run "websocket_api" {
  assert {
    condition     = toset(concat(keys(aws_apigatewayv2_route.silent), keys(aws_apigatewayv2_route.answering))) == toset(["$connect", "$disconnect", "subscribe", "unsubscribe", "ping", "$default"])
    error_message = "the gateway's six routes"
  }
  assert {
    condition     = keys(aws_apigatewayv2_route_response.answering) == keys(aws_apigatewayv2_route.answering) && alltrue([for route in aws_apigatewayv2_route.answering : route.route_response_selection_expression == "$default"])
    error_message = "without a route response the gateway's answer is not sent"
  }
  assert {
    condition     = aws_apigatewayv2_stage.this[0].default_route_settings[0].throttling_rate_limit == 500 && aws_apigatewayv2_stage.this[0].default_route_settings[0].throttling_burst_limit == 1000
    error_message = "the stage must be throttled"
  }
  assert {
    condition     = !aws_apigatewayv2_stage.this[0].default_route_settings[0].data_trace_enabled
    error_message = "data traces hold tokens"
  }
  assert {
    condition     = length(regexall("(?i)header|querystring|authorizer", aws_apigatewayv2_stage.this[0].access_log_settings[0].format)) == 0
    error_message = "the access log must hold no headers and no query"
  }
  assert {
    condition     = aws_lambda_permission.api[0].source_arn == "arn:aws:execute-api:eu-central-1:123456789012:abc123/prod/*"
    error_message = "only this API's stage may call the gateway"
  }
  assert {
    condition     = output.websocket_url == "wss://abc123.execute-api.eu-central-1.amazonaws.com/prod" && output.management_url == "https://abc123.execute-api.eu-central-1.amazonaws.com/prod"
    error_message = "wss for browsers, https for posting"
  }
  assert {
    condition     = length(aws_api_gateway_account.this) == 0
    error_message = "the account's role is nobody's to change unasked"
  }
}

run "gateway" {
  assert {
    condition     = aws_lambda_function.gateway[0].image_config[0].command == tolist(["gateway"]) && aws_lambda_function.gateway[0].architectures == tolist(["arm64"])
    error_message = "the function is the image, started as the gateway"
  }
  assert {
    condition     = aws_lambda_function.gateway[0].timeout >= 11 && aws_lambda_function.gateway[0].timeout <= 29
    error_message = "long enough for two calls of the table and a word to the broadcaster, shorter than API Gateway waits"
  }
  assert {
    condition = toset(keys(aws_lambda_function.gateway[0].environment[0].variables)) == toset([
      "TIDEWIRE_CONNECTIONS__TABLE", "TIDEWIRE_GATEWAY__JWKS_URL", "TIDEWIRE_LOG__FORMAT", "TIDEWIRE_QUEUE__URLS",
    ])
    error_message = "the gateway is told what it needs and nothing else"
  }
}

run "tokens_by_secret_and_ticket" {
  variables {
    gateway              = { tickets = true, image = "g" }
    gateway_hs256_secret = "0123456789abcdef0123456789abcdef"
  }
  assert {
    condition     = nonsensitive(aws_lambda_function.gateway[0].environment[0].variables["TIDEWIRE_GATEWAY__HS256_SECRET"]) == "0123456789abcdef0123456789abcdef"
    error_message = "the secret is the function's"
  }
  assert {
    condition     = nonsensitive(aws_lambda_function.gateway[0].environment[0].variables["TIDEWIRE_GATEWAY__TICKETS"]) == "true" && aws_lambda_function.gateway[0].image_uri == "g"
    error_message = "tickets are taken, by an image of its own"
  }
  assert {
    condition     = !strcontains(output.config_toml, "0123456789abcdef")
    error_message = "the secret stands in no output"
  }
}

run "daemons_on_fargate" {
  assert {
    condition     = keys(aws_ecs_task_definition.this) == ["broadcaster", "worker"]
    error_message = "workers and broadcasters"
  }
  assert {
    condition = alltrue([
      for task in aws_ecs_task_definition.this : alltrue([
        for container in jsondecode(task.container_definitions) :
        container.stopTimeout > 25 && container.stopTimeout <= 120 &&
        container.healthCheck.command == ["CMD", "/usr/local/bin/tidewire", "health"] &&
        container.readonlyRootFilesystem && container.user == "65532:65532"
      ])
    ])
    error_message = "each waits longer than our grace, is asked whether it is well, and can write nothing"
  }
  assert {
    condition     = contains(jsondecode(aws_ecs_task_definition.this["broadcaster"].container_definitions)[0].environment, { name = "TIDEWIRE_AWS__ENDPOINT_MANAGEMENT", value = "https://abc123.execute-api.eu-central-1.amazonaws.com/prod" })
    error_message = "the broadcaster must know where to post"
  }
  assert {
    condition     = aws_ecs_service.broadcaster[0].desired_count == 2 && aws_ecs_service.broadcaster[0].deployment_maximum_percent == 200 && aws_ecs_service.broadcaster[0].deployment_minimum_healthy_percent == 100
    error_message = "the next broadcaster stands by before the last one ends"
  }
  assert {
    condition     = aws_ecs_service.worker[0].deployment_minimum_healthy_percent == 100
    error_message = "no worker goes before another has come"
  }
  assert {
    condition     = aws_appautoscaling_target.worker[0].min_capacity == 2 && aws_appautoscaling_target.worker[0].max_capacity == 4 && aws_appautoscaling_target.worker[0].resource_id == "service/tidewire/tidewire-worker"
    error_message = "scaling holds the service between its bounds"
  }
  assert {
    condition     = length(aws_vpc_security_group_ingress_rule.metrics) == 1 && length(aws_vpc_security_group_egress_rule.influx) == 0 && length(aws_vpc_security_group_egress_rule.traces) == 0
    error_message = "in for metrics only, out by https only"
  }
  assert {
    condition     = alltrue([for group in concat(values(aws_cloudwatch_log_group.daemon), aws_cloudwatch_log_group.gateway, aws_cloudwatch_log_group.api) : group.retention_in_days == 30])
    error_message = "logs end some day"
  }
}

run "scaling_by_the_fleets_own_metrics" {
  assert {
    condition     = contains(jsondecode(aws_ecs_task_definition.this["worker"].container_definitions)[0].environment, { name = "TIDEWIRE_CLOUDWATCH__EMBEDDED_METRICS", value = "true" })
    error_message = "workers publish what scaling goes by"
  }
  assert {
    condition     = !strcontains(aws_ecs_task_definition.this["broadcaster"].container_definitions, "CLOUDWATCH")
    error_message = "broadcasters have nothing to do with it"
  }
  assert {
    condition     = jsondecode(aws_ecs_task_definition.this["worker"].container_definitions)[0].logConfiguration.logDriver == "awslogs"
    error_message = "the driver that brings lines to CloudWatch as they are"
  }
  assert {
    condition = alltrue([
      for metric in one(one(aws_appautoscaling_policy.shards[0].target_tracking_scaling_policy_configuration).customized_metric_specification).metrics :
      one(one(metric.metric_stat).metric).namespace == "tidewire" &&
      one(one(one(metric.metric_stat).metric).dimensions).name == "LeaseTable" &&
      one(one(one(metric.metric_stat).metric).dimensions).value == "tidewire-leases"
      if length(metric.metric_stat) > 0
    ])
    error_message = "the metrics of this fleet, as a worker writes them"
  }
  assert {
    condition = (
      one(aws_appautoscaling_policy.shards[0].target_tracking_scaling_policy_configuration).target_value == 4 &&
      one(aws_appautoscaling_policy.shards[0].target_tracking_scaling_policy_configuration).scale_in_cooldown == 900 &&
      contains([for metric in one(one(aws_appautoscaling_policy.shards[0].target_tracking_scaling_policy_configuration).customized_metric_specification).metrics : metric.expression if metric.expression != null], "open / workers")
    )
    error_message = "open shards for each worker, in slowly"
  }
  assert {
    condition = alltrue([
      for policy in [aws_appautoscaling_policy.shards[0], aws_appautoscaling_policy.processor[0]] :
      length(setsubtract(["OpenShards", "Workers"], flatten([
        for metric in one(one(policy.target_tracking_scaling_policy_configuration).customized_metric_specification).metrics :
        [for stat in metric.metric_stat : [for of in stat.metric : of.metric_name]]
      ]))) == 0
    ])
    error_message = "by the metrics that workers write"
  }
  assert {
    condition = toset(flatten([
      for query in aws_cloudwatch_metric_alarm.behind[0].metric_query : [for metric in query.metric : metric.metric_name]
    ])) == toset(["Lag", "OpenShards", "Workers"])
    error_message = "lateness by the metrics that workers write"
  }
  assert {
    condition     = contains([for metric in one(one(aws_appautoscaling_policy.processor[0].target_tracking_scaling_policy_configuration).customized_metric_specification).metrics : metric.expression if metric.expression != null], "IF(workers < open OR processor < 60, processor, 60)")
    error_message = "busy processors add no worker that would have no shard"
  }
  assert {
    condition = (
      contains([for query in aws_cloudwatch_metric_alarm.behind[0].metric_query : query.expression if query.return_data == true], "IF(workers < open, lag, 0)") &&
      aws_cloudwatch_metric_alarm.behind[0].threshold == 60 && aws_cloudwatch_metric_alarm.behind[0].metric_name == null
    )
    error_message = "lateness in seconds, and no worker that would have no shard"
  }
}

run "scaling_without_them" {
  variables {
    settings = { cloudwatch = { embedded_metrics = false } }
  }
  assert {
    condition     = length(aws_appautoscaling_policy.shards) == 0 && length(one(aws_appautoscaling_policy.processor[0].target_tracking_scaling_policy_configuration).predefined_metric_specification) == 1
    error_message = "by the processors alone"
  }
  assert {
    condition     = aws_cloudwatch_metric_alarm.behind[0].metric_name == "GetRecords.IteratorAgeMilliseconds" && aws_cloudwatch_metric_alarm.behind[0].threshold == 60000 && length(aws_cloudwatch_metric_alarm.behind[0].metric_query) == 0
    error_message = "lateness as AWS measures it"
  }
}

run "a_fleet_of_a_name_of_its_own" {
  variables {
    settings = { lease = { table = "plant" }, cloudwatch = { namespace = "Plant/Live" } }
  }
  assert {
    condition = alltrue([
      for query in aws_cloudwatch_metric_alarm.behind[0].metric_query :
      one(query.metric).namespace == "Plant/Live" && one(query.metric).dimensions == tomap({ LeaseTable = "plant" })
      if length(query.metric) > 0
    ])
    error_message = "the alarm looks where the workers write"
  }
}

run "behind_by_what_was_sent" {
  variables {
    settings = { source = { mode = "fan-out", consumer = "screens" } }
  }
  assert {
    condition     = aws_cloudwatch_metric_alarm.nearly_lost[0].metric_name == "SubscribeToShardEvent.MillisBehindLatest"
    error_message = "with enhanced fan-out GetRecords is not called"
  }
  assert {
    condition     = aws_cloudwatch_metric_alarm.nearly_lost[0].dimensions == tomap({ StreamName = "tidewire-readings", ConsumerName = "screens" })
    error_message = "our consumer's own measure"
  }
}

run "permissions" {
  assert {
    condition     = [for statement in jsondecode(aws_iam_role_policy.daemon["worker"].policy).Statement : statement.Sid] == ["ReadStreams", "Leases", "SeeWhetherKclLeads", "FindTimestream", "WriteTimestream", "SendLive", "FileDeadLetters"]
    error_message = "the worker's statements, those without a resource left out"
  }
  assert {
    condition     = jsondecode(aws_iam_role_policy.daemon["worker"].policy).Statement[1].Resource == ["arn:aws:dynamodb:eu-central-1:123456789012:table/tidewire-leases"]
    error_message = "the lease table and no other"
  }
  assert {
    condition     = jsondecode(aws_iam_role_policy.daemon["broadcaster"].policy).Statement[2].Resource == [for method in ["DELETE", "POST"] : "arn:aws:execute-api:eu-central-1:123456789012:abc123/prod/${method}/@connections/*"]
    error_message = "posting and hanging up on this stage"
  }
  assert {
    condition = alltrue([
      for policy in concat(values(aws_iam_role_policy.daemon), aws_iam_role_policy.gateway, aws_iam_role_policy.gateway_logs, aws_iam_role_policy.execution, aws_iam_role_policy.iot) :
      alltrue([
        for statement in jsondecode(policy.policy).Statement :
        !contains(statement.Resource, "*") || contains(["FindTimestream", "Registry"], statement.Sid)
      ])
    ])
    error_message = "everything is limited to its resource, but for the two calls that know none"
  }
  assert {
    condition     = one([for statement in jsondecode(aws_iam_role_policy.execution[0].policy).Statement : statement.Resource if statement.Sid == "Pull"]) == ["arn:aws:ecr:eu-central-1:123456789012:repository/team/tidewire"]
    error_message = "the image's repository and no other"
  }
  assert {
    condition     = jsondecode(aws_iam_role.daemon["worker"].assume_role_policy).Statement[0].Condition.StringEquals["aws:SourceAccount"] == "123456789012"
    error_message = "no other account's tasks may take the role"
  }
}

run "influx_alone" {
  variables {
    timestream = null
    influx     = { url = "https://influx.example:8086", org = "plant", bucket = "readings" }
    settings   = { influx = { batch_lines = 2000 }, traces = { endpoint = "http://collector:4318" }, decode = { types = { count = "int", ok = "bool" }, dimensions = ["site", "line"] } }
  }
  assert {
    condition     = length(aws_timestreamwrite_table.this) == 0 && length(aws_s3_bucket.rejected) == 0
    error_message = "nothing of Timestream"
  }
  assert {
    condition     = !strcontains(aws_iam_role_policy.daemon["worker"].policy, "timestream")
    error_message = "no right to Timestream"
  }
  assert {
    condition     = jsondecode(aws_ecs_task_definition.this["worker"].container_definitions)[0].secrets == [{ name = "TIDEWIRE_INFLUX__TOKEN", valueFrom = aws_secretsmanager_secret.influx[0].arn }]
    error_message = "the token comes from the secret"
  }
  assert {
    condition = alltrue([
      for entry in [
        { name = "TIDEWIRE_INFLUX__BATCH_LINES", value = "2000" },
        { name = "TIDEWIRE_DECODE__TYPES", value = "count=int,ok=bool" },
        { name = "TIDEWIRE_DECODE__DIMENSIONS", value = "site,line" },
      ] : contains(jsondecode(aws_ecs_task_definition.this["worker"].container_definitions)[0].environment, entry)
    ])
    error_message = "numbers, tables and lists are written as variables are"
  }
  assert {
    condition     = aws_vpc_security_group_egress_rule.influx[0].from_port == 8086
    error_message = "the way out to InfluxDB's port"
  }
  assert {
    condition = aws_vpc_security_group_egress_rule.traces[0].from_port == 4318 && alltrue([
      for process in ["worker", "broadcaster"] : contains(
        jsondecode(aws_ecs_task_definition.this[process].container_definitions)[0].environment,
        { name = "TIDEWIRE_TRACES__ENDPOINT", value = "http://collector:4318" },
      )
    ])
    error_message = "both processes know the collector, and the way out to it is open"
  }
  assert {
    condition     = strcontains(output.config_toml, "types = { \"count\" = \"int\", \"ok\" = \"bool\" }") && strcontains(output.config_toml, "batch_lines = 2000")
    error_message = "the file says the same"
  }
}

run "what_is_there_already" {
  variables {
    stream                    = { existing_arn = "arn:aws:kinesis:eu-central-1:999999999999:stream/plant", kms_key_arn = "arn:aws:kms:eu-central-1:999999999999:key/1" }
    iot                       = null
    existing_lease_table      = "app"
    existing_connection_table = "connections"
    timestream                = { existing = true, database = "sensors", routed_tables = ["pumps"] }
  }
  assert {
    condition     = length(aws_kinesis_stream.this) + length(aws_dynamodb_table.leases) + length(aws_dynamodb_table.connections) + length(aws_timestreamwrite_table.this) == 0
    error_message = "nothing of it is made"
  }
  assert {
    condition     = strcontains(output.config_toml, "stream = \"arn:aws:kinesis:eu-central-1:999999999999:stream/plant\"")
    error_message = "another account's stream is known by its ARN"
  }
  assert {
    condition = {
      for statement in jsondecode(aws_iam_role_policy.daemon["worker"].policy).Statement : statement.Sid => statement.Resource
      if contains(["ReadStreams", "DecryptStreams", "Leases", "WriteTimestream"], statement.Sid)
      } == {
      ReadStreams    = ["arn:aws:kinesis:eu-central-1:999999999999:stream/plant"]
      DecryptStreams = ["arn:aws:kms:eu-central-1:999999999999:key/1"]
      Leases         = ["arn:aws:dynamodb:eu-central-1:123456789012:table/app"]
      WriteTimestream = [
        "arn:aws:timestream:eu-central-1:123456789012:database/sensors/table/pumps",
        "arn:aws:timestream:eu-central-1:123456789012:database/sensors/table/readings",
      ]
    }
    error_message = "the rights are to those"
  }
}

run "a_stream_that_sends" {
  variables {
    settings = { source = { mode = "auto" } }
  }
  assert {
    condition = {
      for statement in jsondecode(aws_iam_role_policy.daemon["worker"].policy).Statement : statement.Sid => length(statement.Resource)
      if statement.Sid == "SubscribeToStreams"
    } == { SubscribeToStreams = 2 }
    error_message = "the stream and its consumers, where source.mode asks for them"
  }
}

run "several_streams" {
  variables {
    settings = { source = { mode = "auto", streams = ["tidewire-readings", "123456789012:plant:1700000000", "arn:aws:kinesis:eu-central-1:210987654321:stream/far"] } }
  }
  assert {
    condition = [for statement in jsondecode(aws_iam_role_policy.daemon["worker"].policy).Statement : statement.Resource if statement.Sid == "ReadStreams"][0] == [
      "arn:aws:kinesis:eu-central-1:123456789012:stream/tidewire-readings",
      "arn:aws:kinesis:eu-central-1:123456789012:stream/plant",
      "arn:aws:kinesis:eu-central-1:210987654321:stream/far",
    ]
    error_message = "every stream that is named may be read, and no other"
  }
  assert {
    condition     = contains([for statement in jsondecode(aws_iam_role_policy.daemon["worker"].policy).Statement : statement.Resource if statement.Sid == "SubscribeToStreams"][0], "arn:aws:kinesis:eu-central-1:210987654321:stream/far/consumer/*")
    error_message = "and subscribed to"
  }
  assert {
    condition     = strcontains(output.config_toml, "streams = [\"tidewire-readings\",") && !strcontains(output.config_toml, "stream = ")
    error_message = "several streams in place of the one"
  }
}

run "pods_by_web_identity" {
  variables {
    run_on  = "eks-irsa"
    network = null
    kubernetes = {
      oidc_provider_arn = "arn:aws:iam::123456789012:oidc-provider/oidc.eks.eu-central-1.amazonaws.com/id/AB"
      oidc_issuer       = "oidc.eks.eu-central-1.amazonaws.com/id/AB"
    }
  }
  assert {
    condition     = length(aws_ecs_cluster.this) + length(aws_ecs_task_definition.this) + length(aws_iam_role.execution) + length(aws_security_group.daemons) == 0
    error_message = "nothing of ECS"
  }
  assert {
    condition     = jsondecode(aws_iam_role.daemon["worker"].assume_role_policy).Statement[0].Condition.StringEquals["oidc.eks.eu-central-1.amazonaws.com/id/AB:sub"] == "system:serviceaccount:tidewire:tidewire-worker"
    error_message = "the worker's service account and no other"
  }
}

run "pods_by_pod_identity" {
  variables {
    run_on     = "eks-pod-identity"
    network    = null
    kubernetes = { cluster_name = "main", namespace = "plant" }
  }
  assert {
    condition = jsondecode(aws_iam_role.daemon["broadcaster"].assume_role_policy).Statement[0].Condition.StringEquals == {
      "aws:RequestTag/eks-cluster-name"           = "main"
      "aws:RequestTag/kubernetes-namespace"       = "plant"
      "aws:RequestTag/kubernetes-service-account" = "tidewire-broadcaster"
    }
    error_message = "the broadcaster's service account and no other"
  }
  assert {
    condition     = aws_eks_pod_identity_association.daemon["worker"].service_account == "tidewire-worker" && aws_eks_pod_identity_association.daemon["worker"].namespace == "plant"
    error_message = "the account is tied to its role"
  }
}

run "no_screens" {
  variables {
    live_queues = 0
    gateway     = {}
  }
  assert {
    condition     = length(aws_apigatewayv2_api.this) + length(aws_lambda_function.gateway) + length(aws_dynamodb_table.connections) + length(aws_ecs_service.broadcaster) + length(aws_sqs_queue.live) == 0
    error_message = "nothing of screens"
  }
  assert {
    condition     = output.websocket_url == null && !strcontains(output.config_toml, "[queue]")
    error_message = "nor a word of them"
  }
}

run "own_domain" {
  variables {
    api = { domain = { name = "live.example.com", certificate_arn = "arn:aws:acm:eu-central-1:123456789012:certificate/1", zone_id = "Z1" } }
  }
  assert {
    condition     = output.websocket_url == "wss://live.example.com" && startswith(output.management_url, "https://abc123.")
    error_message = "browsers take the domain, the broadcaster the stage"
  }
  assert {
    condition     = aws_apigatewayv2_api_mapping.this[0].domain_name == aws_apigatewayv2_domain_name.this[0].id && length(aws_route53_record.this) == 1
    error_message = "the domain leads to the stage"
  }
}
