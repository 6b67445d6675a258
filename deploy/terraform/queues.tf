locals {
  # "0", "1", ...: the order in which viewers are spread over the queues is this order.
  live = [for index in range(var.live_queues) : tostring(index)]
}

# From worker to broadcaster. What is five minutes old is no news: without a short retention, a pause of
# the broadcaster would replay up to four days.
resource "aws_sqs_queue" "live" {
  for_each = toset(local.live)

  name                       = "${var.name}-live-${each.value}"
  message_retention_seconds  = 300
  visibility_timeout_seconds = 30
  receive_wait_time_seconds  = 20
  sqs_managed_sse_enabled    = true
  tags                       = local.tags

  redrive_policy = jsonencode({
    deadLetterTargetArn = aws_sqs_queue.live_unserved[0].arn
    maxReceiveCount     = 5
  })
}

# Live messages that no broadcaster finished in five tries. The broadcaster deletes what it cannot read,
# so that a message here means one that ends it; the archive has its readings all the same.
resource "aws_sqs_queue" "live_unserved" {
  count = local.has_screens ? 1 : 0

  name                      = "${var.name}-live-unserved"
  message_retention_seconds = 1209600
  sqs_managed_sse_enabled   = true
  tags                      = local.tags
}

resource "aws_sqs_queue_redrive_allow_policy" "live_unserved" {
  count = local.has_screens ? 1 : 0

  queue_url = aws_sqs_queue.live_unserved[0].id

  redrive_allow_policy = jsonencode({
    redrivePermission = "byQueue"
    sourceQueueArns   = [for index in local.live : aws_sqs_queue.live[index].arn]
  })
}

# The worker's dead letters: what could not be read or was refused, with the reason and the record. They
# wait for a person as long as SQS lets them. 1 MiB, so that most records fit beside their reason.
resource "aws_sqs_queue" "dead_letters" {
  name                      = "${var.name}-dead-letters"
  message_retention_seconds = 1209600
  max_message_size          = 1048576
  sqs_managed_sse_enabled   = true
  tags                      = local.tags
}
