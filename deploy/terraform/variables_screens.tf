variable "api" {
  description = <<-EOT
    The WebSocket API. `rate` and `burst`: messages a second that the stage takes from clients; what is
    over is refused. `access_log` needs a role that API Gateway has once for a whole account and region:
    `account_role` makes it; leave it false where something else manages it. `domain`: a name of your
    own, with its certificate of this region, and the Route 53 zone if the record is to be made here.
  EOT
  type = object({
    stage        = optional(string, "prod")
    rate         = optional(number, 500)
    burst        = optional(number, 1000)
    access_log   = optional(bool, true)
    account_role = optional(bool, false)
    domain = optional(object({
      name            = string
      certificate_arn = string
      zone_id         = optional(string)
    }))
  })
  default = {}

  validation {
    condition     = can(regex("^[A-Za-z0-9_-]{1,128}$", var.api.stage))
    error_message = "api.stage: letters, digits, hyphens and underscores."
  }

  validation {
    condition     = var.api.rate > 0 && var.api.burst > 0
    error_message = "api.rate and api.burst: above 0; a stage without limits lets one client use up the account's."
  }
}

variable "gateway" {
  description = <<-EOT
    The gateway's function, and how it checks tokens: `jwks_url` (where the issuer publishes its keys),
    `jwks_file` (a file of them in the image), `tickets` (one-time tickets that your server writes,
    docs/screens.md), or `gateway_hs256_secret`. `image`: null takes `image`. `concurrency_max`:
    instances at once; null leaves it to the account's limit.
  EOT
  type = object({
    jwks_url        = optional(string)
    jwks_file       = optional(string)
    tickets         = optional(bool, false)
    image           = optional(string)
    memory_mib      = optional(number, 256)
    concurrency_max = optional(number)
  })
  default = {}

  validation {
    condition     = var.live_queues == 0 || var.gateway.jwks_url != null || var.gateway.jwks_file != null || var.gateway.tickets || nonsensitive(var.gateway_hs256_secret != null)
    error_message = "gateway: a way to check tokens: gateway.jwks_url, gateway.jwks_file, gateway.tickets or gateway_hs256_secret."
  }

  validation {
    condition     = var.gateway.jwks_url == null || try(startswith(var.gateway.jwks_url, "https://"), false)
    error_message = "gateway.jwks_url: https://; whoever could change the keys on their way could let anybody in."
  }
}

variable "gateway_hs256_secret" {
  description = "The shared secret of HS256 tokens. Lambda has no way to take it from Secrets Manager, so that it stands in Terraform's state and in the function's environment, which AWS encrypts: prefer public keys (gateway.jwks_url)."
  type        = string
  default     = null
  sensitive   = true

  validation {
    condition     = var.gateway_hs256_secret == null || try(length(var.gateway_hs256_secret) >= 32, false)
    error_message = "gateway_hs256_secret: at least 32 bytes."
  }
}
