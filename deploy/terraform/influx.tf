locals {
  makes_influx_secret = local.has_influx && try(var.influx.token_secret_arn, null) == null
  influx_secret_arn   = local.has_influx ? (local.makes_influx_secret ? aws_secretsmanager_secret.influx[0].arn : var.influx.token_secret_arn) : null
}

# Made without a value, so that the token never stands in Terraform's state:
# aws secretsmanager put-secret-value --secret-id NAME/influx-token --secret-string file:///dev/stdin
resource "aws_secretsmanager_secret" "influx" {
  count = local.makes_influx_secret ? 1 : 0

  name        = "${var.name}/influx-token"
  description = "The token by which tidewire writes to InfluxDB; nothing but the token"
  tags        = local.tags
}
