# The function behind the WebSocket API's routes: the same image, started as `tidewire gateway`.

locals {
  gateway_image = coalesce(var.gateway.image, var.image)
  gateway_secrets = nonsensitive(var.gateway_hs256_secret == null) ? {} : {
    TIDEWIRE_GATEWAY__HS256_SECRET = var.gateway_hs256_secret
  }
}

resource "aws_lambda_function" "gateway" {
  count = local.has_screens ? 1 : 0

  function_name = "${var.name}-gateway"
  description   = "Lets viewers in and keeps what they subscribe to"
  role          = aws_iam_role.gateway[0].arn
  package_type  = "Image"
  image_uri     = local.gateway_image
  architectures = [var.architecture == "ARM64" ? "arm64" : "x86_64"]
  memory_size   = var.gateway.memory_mib
  # Two calls of the table of 5 s at most, and a word to the broadcaster of 0.75 s.
  timeout                        = 15
  reserved_concurrent_executions = coalesce(var.gateway.concurrency_max, -1)
  tags                           = local.tags

  image_config {
    command = ["gateway"]
  }

  environment {
    variables = merge(local.environment.gateway, local.gateway_secrets)
  }

  logging_config {
    log_format = "Text"
    log_group  = aws_cloudwatch_log_group.gateway[0].name
  }

  depends_on = [aws_iam_role_policy.gateway, aws_iam_role_policy.gateway_logs]
}

resource "aws_lambda_permission" "api" {
  count = local.has_screens ? 1 : 0

  statement_id  = "WebSocketApi"
  action        = "lambda:InvokeFunction"
  function_name = aws_lambda_function.gateway[0].function_name
  principal     = "apigateway.amazonaws.com"
  source_arn    = "${aws_apigatewayv2_api.this[0].execution_arn}/${var.api.stage}/*"
}

resource "aws_cloudwatch_log_group" "gateway" {
  count = local.has_screens ? 1 : 0

  name              = "/aws/lambda/${var.name}-gateway"
  retention_in_days = var.log_retention_days
  tags              = local.tags
}
