locals {
  # Two services: workers, and broadcasters of which each takes whichever queue is not served.
  services = { for process, size in { worker = var.worker, broadcaster = var.broadcaster } : process => {
    process = process
    cpu     = size.cpu
    memory  = size.memory_mib
  } if local.on_ecs && contains(local.daemons, process) }

  cluster_arn  = local.on_ecs ? coalesce(var.ecs.existing_cluster_arn, try(aws_ecs_cluster.this[0].arn, null)) : null
  cluster_name = local.on_ecs ? element(split("/", local.cluster_arn), 1) : null

  secrets = {
    worker      = { for key in ["TIDEWIRE_INFLUX__TOKEN"] : key => local.influx_secret_arn if local.has_influx }
    broadcaster = {}
  }

  # Nothing empty and no default: AWS leaves those out of its answer.
  containers = {
    for name, service in local.services : name => { for key, value in {
      name      = service.process
      image     = var.image
      essential = true
      command   = [service.process]

      environment = [
        for key, value in merge(
          local.environment[service.process],
          { for key, url in local.endpoint_management : "TIDEWIRE_AWS__ENDPOINT_MANAGEMENT" => url if service.process == "broadcaster" },
        ) : { name = key, value = value }
      ]

      secrets = [
        for key, arn in local.secrets[service.process] : { name = key, valueFrom = arn }
      ]

      portMappings = [{ name = "http", containerPort = 9090, hostPort = 9090, protocol = "tcp" }]

      # The image's own HEALTHCHECK counts for nothing on ECS. It asks whether the loops turn: slow sinks
      # and throttling never make a process unhealthy.
      healthCheck = {
        command     = ["CMD", "/usr/local/bin/tidewire", "health"]
        interval    = 10
        timeout     = 3
        retries     = 3
        startPeriod = 30
      }

      # Longer than shutdown.grace_s, in which a worker drains, checkpoints and releases.
      stopTimeout            = var.ecs.stop_timeout_s
      user                   = "65532:65532"
      readonlyRootFilesystem = true
      linuxParameters        = { capabilities = { drop = ["ALL"] } }

      logConfiguration = {
        logDriver = "awslogs"
        options = {
          awslogs-group         = aws_cloudwatch_log_group.daemon[service.process].name
          awslogs-region        = local.region
          awslogs-stream-prefix = name
          # A slow CloudWatch must not stop a worker that renews leases.
          mode            = "non-blocking"
          max-buffer-size = "4m"
        }
      }
    } : key => value if key != "secrets" || length(local.secrets[service.process]) > 0 }
  }
}

resource "aws_ecs_cluster" "this" {
  count = local.on_ecs && var.ecs.existing_cluster_arn == null ? 1 : 0

  name = var.name
  tags = local.tags

  setting {
    name  = "containerInsights"
    value = var.ecs.container_insights ? "enabled" : "disabled"
  }
}

resource "aws_cloudwatch_log_group" "daemon" {
  for_each = local.on_ecs ? local.daemons : toset([])

  name              = "/tidewire/${var.name}/${each.value}"
  retention_in_days = var.log_retention_days
  tags              = local.tags
}

resource "aws_ecs_task_definition" "this" {
  for_each = local.services

  family                   = "${var.name}-${each.key}"
  requires_compatibilities = ["FARGATE"]
  network_mode             = "awsvpc"
  cpu                      = each.value.cpu
  memory                   = each.value.memory
  task_role_arn            = aws_iam_role.daemon[each.value.process].arn
  execution_role_arn       = aws_iam_role.execution[0].arn
  container_definitions    = jsonencode([local.containers[each.key]])
  tags                     = local.tags

  runtime_platform {
    operating_system_family = "LINUX"
    cpu_architecture        = var.architecture
  }
}

resource "aws_ecs_service" "worker" {
  count = local.on_ecs ? 1 : 0

  name            = "${var.name}-worker"
  cluster         = local.cluster_arn
  task_definition = aws_ecs_task_definition.this["worker"].arn
  desired_count   = var.worker.min
  launch_type     = "FARGATE"
  propagate_tags  = "SERVICE"
  tags            = local.tags

  # A new worker takes over what an old one releases, so that none need be missing meanwhile.
  deployment_minimum_healthy_percent = 100
  deployment_maximum_percent         = 200

  deployment_circuit_breaker {
    enable   = true
    rollback = true
  }

  network_configuration {
    subnets          = var.network.subnet_ids
    security_groups  = [aws_security_group.daemons[0].id]
    assign_public_ip = var.network.assign_public_ip
  }

  lifecycle {
    # Scaling's to decide, between worker.min and worker.max.
    ignore_changes = [desired_count]
  }

  depends_on = [aws_iam_role_policy.daemon, aws_iam_role_policy.execution]
}

resource "aws_ecs_service" "broadcaster" {
  count = local.on_ecs && local.has_screens ? 1 : 0

  name            = "${var.name}-broadcaster"
  cluster         = local.cluster_arn
  task_definition = aws_ecs_task_definition.this["broadcaster"].arn
  desired_count   = var.live_queues + var.broadcaster.standby
  launch_type     = "FARGATE"
  propagate_tags  = "SERVICE"
  tags            = local.tags

  # A new one stands by until an old one has drained and let its queue go.
  deployment_minimum_healthy_percent = 100
  deployment_maximum_percent         = 200

  deployment_circuit_breaker {
    enable   = true
    rollback = true
  }

  network_configuration {
    subnets          = var.network.subnet_ids
    security_groups  = [aws_security_group.daemons[0].id]
    assign_public_ip = var.network.assign_public_ip
  }

  depends_on = [aws_iam_role_policy.daemon, aws_iam_role_policy.execution]
}

resource "aws_security_group" "daemons" {
  count = local.on_ecs ? 1 : 0

  name        = "${var.name}-daemons"
  description = "tidewire: out to AWS and to the store, in for metrics only"
  vpc_id      = var.network.vpc_id
  tags        = local.tags
}

resource "aws_vpc_security_group_egress_rule" "https" {
  count = local.on_ecs ? 1 : 0

  security_group_id = aws_security_group.daemons[0].id
  description       = "AWS's endpoints, and an InfluxDB at 443"
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
  cidr_ipv4         = "0.0.0.0/0"
  tags              = local.tags
}

resource "aws_vpc_security_group_egress_rule" "influx" {
  count = local.on_ecs && local.has_influx && local.influx_port != 443 ? 1 : 0

  security_group_id = aws_security_group.daemons[0].id
  description       = "InfluxDB"
  ip_protocol       = "tcp"
  from_port         = local.influx_port
  to_port           = local.influx_port
  cidr_ipv4         = "0.0.0.0/0"
  tags              = local.tags
}

# A collector of traces (settings.traces.endpoint), mostly at 4318.
resource "aws_vpc_security_group_egress_rule" "traces" {
  count = local.on_ecs && local.traces_port != 443 ? 1 : 0

  security_group_id = aws_security_group.daemons[0].id
  description       = "The collector of traces"
  ip_protocol       = "tcp"
  from_port         = local.traces_port
  to_port           = local.traces_port
  cidr_ipv4         = "0.0.0.0/0"
  tags              = local.tags
}

resource "aws_vpc_security_group_ingress_rule" "metrics" {
  for_each = local.on_ecs ? var.network.metrics_from : toset([])

  security_group_id            = aws_security_group.daemons[0].id
  description                  = "Metrics for Prometheus"
  ip_protocol                  = "tcp"
  from_port                    = 9090
  to_port                      = 9090
  referenced_security_group_id = each.value
  tags                         = local.tags
}

# What ECS itself may do to start a task: pull the image, write the log, read the secret.
resource "aws_iam_role" "execution" {
  count = local.on_ecs ? 1 : 0

  name                 = "${var.name}-execution"
  permissions_boundary = var.permissions_boundary_arn
  tags                 = local.tags

  assume_role_policy = jsonencode({
    Version   = "2012-10-17"
    Statement = [merge({ Effect = "Allow" }, local.of_ecs_tasks)]
  })
}

resource "aws_iam_role_policy" "execution" {
  count = local.on_ecs ? 1 : 0

  name = "start-tasks"
  role = aws_iam_role.execution[0].id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat(
      [{
        Sid      = "Log"
        Effect   = "Allow"
        Action   = ["logs:CreateLogStream", "logs:PutLogEvents"]
        Resource = [for process in sort(local.daemons) : "${aws_cloudwatch_log_group.daemon[process].arn}:log-stream:*"]
      }],
      [for repository in local.image_repository_arns : {
        Sid      = "Pull"
        Effect   = "Allow"
        Action   = ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
        Resource = [repository]
      }],
      # Knows no resources.
      [for _ in local.image_repository_arns : {
        Sid      = "Registry"
        Effect   = "Allow"
        Action   = ["ecr:GetAuthorizationToken"]
        Resource = ["*"]
      }],
      [for key in ["Secret"] : {
        Sid      = key
        Effect   = "Allow"
        Action   = ["secretsmanager:GetSecretValue"]
        Resource = [local.influx_secret_arn]
      } if local.has_influx],
    )
  })
}

locals {
  # ACCOUNT.dkr.ecr.REGION.amazonaws.com/NAME:TAG or @DIGEST; of any other registry nothing is needed.
  image_parts = try(regex("^([0-9]{12})\\.dkr\\.ecr(?:-fips)?\\.([a-z0-9-]+)\\.[^/]+/([^:@]+)", var.image), [])
  image_repository_arns = [
    for _ in range(length(local.image_parts) > 0 ? 1 : 0) :
    "arn:${local.partition}:ecr:${local.image_parts[1]}:${local.image_parts[0]}:repository/${local.image_parts[2]}"
  ]
  influx_port = try(tonumber(regex("^https://[^/]*:([0-9]+)", var.influx.url)[0]), 443)
  traces_url  = try(local.settings.traces.endpoint, "https://none")
  traces_port = try(tonumber(regex("^https?://[^/]*:([0-9]+)", local.traces_url)[0]), startswith(local.traces_url, "http://") ? 80 : 443)
}
