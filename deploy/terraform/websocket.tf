locals {
  # Those that answer the client: their routes have a response, or what the gateway says is not sent.
  answering_routes = local.has_screens ? toset(["subscribe", "unsubscribe", "ping", "$default"]) : toset([])
  silent_routes    = local.has_screens ? toset(["$connect", "$disconnect"]) : toset([])

  logs_access = local.has_screens && var.api.access_log
  has_domain  = local.has_screens && var.api.domain != null

  # The address to post to is the stage's own, with or without a domain: https where clients say wss.
  management_url = local.has_screens ? replace(aws_apigatewayv2_stage.this[0].invoke_url, "/^wss:/", "https:") : null
  websocket_url = local.has_screens ? (
    local.has_domain ? "wss://${var.api.domain.name}" : aws_apigatewayv2_stage.this[0].invoke_url
  ) : null
}

resource "aws_apigatewayv2_api" "this" {
  count = local.has_screens ? 1 : 0

  name                       = var.name
  description                = "Live readings for browsers"
  protocol_type              = "WEBSOCKET"
  route_selection_expression = "$request.body.action"
  tags                       = local.tags
}

resource "aws_apigatewayv2_integration" "gateway" {
  count = local.has_screens ? 1 : 0

  api_id             = aws_apigatewayv2_api.this[0].id
  integration_type   = "AWS_PROXY"
  integration_method = "POST"
  integration_uri    = aws_lambda_function.gateway[0].invoke_arn
}

# The gateway itself checks the token at $connect: an authorizer would be a second Lambda.
resource "aws_apigatewayv2_route" "silent" {
  for_each = local.silent_routes

  api_id             = aws_apigatewayv2_api.this[0].id
  route_key          = each.value
  authorization_type = "NONE"
  target             = "integrations/${aws_apigatewayv2_integration.gateway[0].id}"
}

resource "aws_apigatewayv2_route" "answering" {
  for_each = local.answering_routes

  api_id                              = aws_apigatewayv2_api.this[0].id
  route_key                           = each.value
  authorization_type                  = "NONE"
  route_response_selection_expression = "$default"
  target                              = "integrations/${aws_apigatewayv2_integration.gateway[0].id}"
}

resource "aws_apigatewayv2_route_response" "answering" {
  for_each = local.answering_routes

  api_id             = aws_apigatewayv2_api.this[0].id
  route_id           = aws_apigatewayv2_route.answering[each.value].id
  route_response_key = "$default"
}

resource "aws_apigatewayv2_deployment" "this" {
  count = local.has_screens ? 1 : 0

  api_id      = aws_apigatewayv2_api.this[0].id
  description = "Routes of ${var.name}"

  # A stage serves a deployment, not the routes as they are: what changes them makes a new one.
  triggers = {
    routes = sha256(jsonencode([
      aws_apigatewayv2_api.this[0].route_selection_expression,
      aws_apigatewayv2_integration.gateway[0],
      aws_apigatewayv2_route.silent,
      aws_apigatewayv2_route.answering,
      aws_apigatewayv2_route_response.answering,
    ]))
  }

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_apigatewayv2_stage" "this" {
  count = local.has_screens ? 1 : 0

  api_id        = aws_apigatewayv2_api.this[0].id
  deployment_id = aws_apigatewayv2_deployment.this[0].id
  name          = var.api.stage
  tags          = local.tags

  default_route_settings {
    throttling_rate_limit    = var.api.rate
    throttling_burst_limit   = var.api.burst
    detailed_metrics_enabled = true
    # Execution logs hold headers, and with them tokens: never.
    data_trace_enabled = false
    logging_level      = "OFF"
  }

  dynamic "access_log_settings" {
    for_each = local.logs_access ? [1] : []

    content {
      destination_arn = aws_cloudwatch_log_group.api[0].arn
      # No header and no query: a token travels in the one, and might in the other.
      format = jsonencode({
        requestId    = "$context.requestId"
        at           = "$context.requestTimeEpoch"
        ip           = "$context.identity.sourceIp"
        event        = "$context.eventType"
        route        = "$context.routeKey"
        status       = "$context.status"
        connectionId = "$context.connectionId"
        connectedAt  = "$context.connectedAt"
        error        = "$context.error.message"
        integration  = "$context.integrationErrorMessage"
      })
    }
  }

  depends_on = [aws_api_gateway_account.this]
}

resource "aws_cloudwatch_log_group" "api" {
  count = local.logs_access ? 1 : 0

  name              = "/aws/apigateway/${var.name}"
  retention_in_days = var.log_retention_days
  tags              = local.tags
}

# One for a whole account and region.
resource "aws_api_gateway_account" "this" {
  count = local.has_screens && var.api.account_role ? 1 : 0

  cloudwatch_role_arn = aws_iam_role.api_logs[0].arn

  depends_on = [aws_iam_role_policy_attachment.api_logs]
}

resource "aws_iam_role" "api_logs" {
  count = local.has_screens && var.api.account_role ? 1 : 0

  name                 = "${var.name}-api-gateway-logs"
  permissions_boundary = var.permissions_boundary_arn
  tags                 = local.tags

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { Service = "apigateway.amazonaws.com" }
    }]
  })
}

resource "aws_iam_role_policy_attachment" "api_logs" {
  count = local.has_screens && var.api.account_role ? 1 : 0

  role       = aws_iam_role.api_logs[0].name
  policy_arn = "arn:${local.partition}:iam::aws:policy/service-role/AmazonAPIGatewayPushToCloudWatchLogs"
}

resource "aws_apigatewayv2_domain_name" "this" {
  count = local.has_domain ? 1 : 0

  domain_name = var.api.domain.name
  tags        = local.tags

  domain_name_configuration {
    certificate_arn = var.api.domain.certificate_arn
    endpoint_type   = "REGIONAL"
    security_policy = "TLS_1_2"
  }
}

resource "aws_apigatewayv2_api_mapping" "this" {
  count = local.has_domain ? 1 : 0

  api_id      = aws_apigatewayv2_api.this[0].id
  domain_name = aws_apigatewayv2_domain_name.this[0].id
  stage       = aws_apigatewayv2_stage.this[0].id
}

resource "aws_route53_record" "this" {
  count = local.has_domain && try(var.api.domain.zone_id, null) != null ? 1 : 0

  zone_id = var.api.domain.zone_id
  name    = aws_apigatewayv2_domain_name.this[0].domain_name
  type    = "A"

  alias {
    name                   = aws_apigatewayv2_domain_name.this[0].domain_name_configuration[0].target_domain_name
    zone_id                = aws_apigatewayv2_domain_name.this[0].domain_name_configuration[0].hosted_zone_id
    evaluate_target_health = false
  }
}
