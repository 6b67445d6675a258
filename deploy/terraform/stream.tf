locals {
  makes_stream = var.stream.existing_arn == null
  stream_arn   = local.makes_stream ? aws_kinesis_stream.this[0].arn : var.stream.existing_arn
  stream_name  = local.makes_stream ? aws_kinesis_stream.this[0].name : element(split("/", var.stream.existing_arn), 1)
  # AWS's own key of Kinesis needs no permission of ours; a key of yours does.
  stream_key_arns = var.stream.kms_key_arn == null ? [] : [var.stream.kms_key_arn]
  # settings.source.streams: by name, by ARN, or as KCL writes it, account:name:creationEpoch.
  several_streams = try(tolist(var.settings.source.streams), [])
  read_stream_arns = length(local.several_streams) == 0 ? [local.stream_arn] : [
    for stream in local.several_streams : (
      startswith(stream, "arn:") ? stream :
      format(
        "arn:%s:kinesis:%s:%s:stream/%s", local.partition, local.region,
        length(split(":", stream)) == 3 ? split(":", stream)[0] : local.account,
        length(split(":", stream)) == 3 ? split(":", stream)[1] : stream,
      )
    )
  ]
  # A stream of another account is only known by its whole ARN.
  stream_is_ours = local.makes_stream || try(split(":", var.stream.existing_arn)[4] == local.account, true)
}

resource "aws_kinesis_stream" "this" {
  count = local.makes_stream ? 1 : 0

  name             = "${var.name}-readings"
  shard_count      = var.stream.shards
  retention_period = var.stream.retention_hours
  encryption_type  = "KMS"
  kms_key_id       = coalesce(var.stream.kms_key_arn, "alias/aws/kinesis")
  tags             = local.tags

  stream_mode_details {
    stream_mode = var.stream.shards == null ? "ON_DEMAND" : "PROVISIONED"
  }
}

resource "aws_iot_topic_rule" "readings" {
  count = var.iot == null ? 0 : 1

  # No hyphens in a rule's name.
  name        = replace("${var.name}_readings", "-", "_")
  description = "Puts each message of a device on the stream, in its order"
  enabled     = true
  sql         = var.iot.sql
  sql_version = "2016-03-23"
  tags        = local.tags

  kinesis {
    role_arn      = aws_iam_role.iot[0].arn
    stream_name   = local.stream_name
    partition_key = var.iot.partition_key
  }

  # What the stream does not take is not lost either.
  error_action {
    sqs {
      queue_url  = aws_sqs_queue.rule_errors[0].url
      role_arn   = aws_iam_role.iot[0].arn
      use_base64 = false
    }
  }
}

# Messages that the rule could not put on the stream, each with the reason. Somebody looks at them.
resource "aws_sqs_queue" "rule_errors" {
  count = var.iot == null ? 0 : 1

  name                      = "${var.name}-rule-errors"
  message_retention_seconds = 1209600
  sqs_managed_sse_enabled   = true
  tags                      = local.tags
}

resource "aws_iam_role" "iot" {
  count = var.iot == null ? 0 : 1

  name                 = "${var.name}-iot-rule"
  permissions_boundary = var.permissions_boundary_arn
  tags                 = local.tags

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { Service = "iot.amazonaws.com" }
      # Only for rules of this account.
      Condition = { StringEquals = { "aws:SourceAccount" = local.account } }
    }]
  })
}

resource "aws_iam_role_policy" "iot" {
  count = var.iot == null ? 0 : 1

  name = "put"
  role = aws_iam_role.iot[0].id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat(
      [
        {
          Sid      = "PutOnStream"
          Effect   = "Allow"
          Action   = ["kinesis:PutRecord"]
          Resource = [local.stream_arn]
        },
        {
          Sid      = "FileErrors"
          Effect   = "Allow"
          Action   = ["sqs:SendMessage"]
          Resource = [aws_sqs_queue.rule_errors[0].arn]
        },
      ],
      [for key in local.stream_key_arns : {
        Sid      = "EncryptForStream"
        Effect   = "Allow"
        Action   = ["kms:GenerateDataKey"]
        Resource = [key]
      }],
    )
  })
}
