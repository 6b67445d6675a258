# What our three processes may do stands in deploy/iam/*.json, held against the calls in the code by
# checks/iam. A statement without a resource (Timestream where there is none) is left out.

locals {
  iam_names = {
    stream_arns = local.read_stream_arns
    # Streams and their consumers: which of them IAM asks about differs from action to action.
    fan_out_arns = contains(["fan-out", "auto"], try(local.settings.source.mode, "polling")) ? flatten([
      for arn in local.read_stream_arns : [arn, "${arn}/consumer/*"]
    ]) : []
    stream_key_arns        = local.stream_key_arns
    lease_table_arns       = ["${local.table_arn}/${local.lease_table}"]
    coordinator_table_arns = ["${local.table_arn}/${local.lease_table}-CoordinatorState"]
    # DescribeEndpoints knows no resources.
    timestream_anywhere    = local.has_timestream ? ["*"] : []
    timestream_table_arns  = [for table in sort(local.timestream_tables) : "${local.timestream_arn}/table/${table}"]
    live_queue_arns        = [for index in local.live : aws_sqs_queue.live[index].arn]
    dead_letter_queue_arns = [aws_sqs_queue.dead_letters.arn]
    connection_table_arns  = ["${local.table_arn}/${local.connection_table}"]
    management_arns = local.has_screens ? [
      for method in ["DELETE", "POST"] :
      "${aws_apigatewayv2_api.this[0].execution_arn}/${var.api.stage}/${method}/@connections/*"
    ] : []
  }

  policies = {
    for process in ["worker", "broadcaster", "gateway"] : process => jsonencode({
      Version = "2012-10-17"
      Statement = [
        for statement in jsondecode(templatefile("${path.module}/../iam/${process}.json", local.iam_names)).Statement :
        statement if length(statement.Resource) > 0
      ]
    })
  }

  # Processes with a role of their own, beside the gateway's Lambda.
  daemons = local.has_screens ? toset(["worker", "broadcaster"]) : toset(["worker"])

  of_ecs_tasks = {
    Principal = { Service = "ecs-tasks.amazonaws.com" }
    Action    = ["sts:AssumeRole"]
    Condition = {
      StringEquals = { "aws:SourceAccount" = local.account }
      ArnLike      = { "aws:SourceArn" = "arn:${local.partition}:ecs:${local.region}:${local.account}:*" }
    }
  }

  # Who may take a daemon's role on: a task of ours, or the pods of its service account.
  trust = {
    for process in local.daemons : process => {
      ecs = local.of_ecs_tasks
      eks-irsa = {
        Principal = { Federated = try(var.kubernetes.oidc_provider_arn, null) }
        Action    = ["sts:AssumeRoleWithWebIdentity"]
        Condition = {
          StringEquals = {
            format("%s:aud", try(coalesce(var.kubernetes.oidc_issuer), "-")) = "sts.amazonaws.com"
            format("%s:sub", try(coalesce(var.kubernetes.oidc_issuer), "-")) = "system:serviceaccount:${try(var.kubernetes.namespace, "-")}:tidewire-${process}"
          }
        }
      }
      eks-pod-identity = {
        Principal = { Service = "pods.eks.amazonaws.com" }
        Action    = ["sts:AssumeRole", "sts:TagSession"]
        Condition = {
          StringEquals = {
            "aws:RequestTag/eks-cluster-name"           = try(var.kubernetes.cluster_name, null)
            "aws:RequestTag/kubernetes-namespace"       = try(var.kubernetes.namespace, null)
            "aws:RequestTag/kubernetes-service-account" = "tidewire-${process}"
          }
        }
      }
    }
  }
}

resource "aws_iam_role" "daemon" {
  for_each = local.daemons

  name                 = "${var.name}-${each.value}"
  permissions_boundary = var.permissions_boundary_arn
  tags                 = local.tags

  assume_role_policy = jsonencode({
    Version   = "2012-10-17"
    Statement = [merge({ Effect = "Allow" }, local.trust[each.value][var.run_on])]
  })
}

resource "aws_iam_role_policy" "daemon" {
  for_each = local.daemons

  name   = each.value
  role   = aws_iam_role.daemon[each.value].id
  policy = local.policies[each.value]
}

resource "aws_eks_pod_identity_association" "daemon" {
  for_each = var.run_on == "eks-pod-identity" ? local.daemons : toset([])

  cluster_name    = var.kubernetes.cluster_name
  namespace       = var.kubernetes.namespace
  service_account = "tidewire-${each.value}"
  role_arn        = aws_iam_role.daemon[each.value].arn
  tags            = local.tags
}

resource "aws_iam_role" "gateway" {
  count = local.has_screens ? 1 : 0

  name                 = "${var.name}-gateway"
  permissions_boundary = var.permissions_boundary_arn
  tags                 = local.tags

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "lambda.amazonaws.com" }
      Action    = "sts:AssumeRole"
    }]
  })
}

resource "aws_iam_role_policy" "gateway" {
  count = local.has_screens ? 1 : 0

  name   = "gateway"
  role   = aws_iam_role.gateway[0].id
  policy = local.policies.gateway
}

# Lambda writes its log with the function's role.
resource "aws_iam_role_policy" "gateway_logs" {
  count = local.has_screens ? 1 : 0

  name = "logs"
  role = aws_iam_role.gateway[0].id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid      = "Log"
      Effect   = "Allow"
      Action   = ["logs:CreateLogStream", "logs:PutLogEvents"]
      Resource = ["${aws_cloudwatch_log_group.gateway[0].arn}:log-stream:*"]
    }]
  })
}
