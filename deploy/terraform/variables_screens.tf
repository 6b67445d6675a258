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
    The gateway's function. `image`: null takes `image`; it must hold the file of public keys that
    `jwks_file` names, unless tokens are signed with `gateway_hs256_secret` (then set jwks_file = "").
    `concurrency_max`: instances at once; null leaves it to the account's limit.
  EOT
  type = object({
    image           = optional(string)
    jwks_file       = optional(string, "/etc/tidewire/jwks.json")
    memory_mib      = optional(number, 256)
    concurrency_max = optional(number)
  })
  default = {}

  validation {
    condition     = var.gateway.jwks_file != "" || nonsensitive(var.gateway_hs256_secret != null)
    error_message = "gateway: a way to check tokens: gateway.jwks_file or gateway_hs256_secret."
  }
}

variable "gateway_hs256_secret" {
  description = "The shared secret of HS256 tokens. Lambda has no way to take it from Secrets Manager, so that it stands in Terraform's state and in the function's environment, which AWS encrypts: prefer public keys (gateway.jwks_file)."
  type        = string
  default     = null
  sensitive   = true

  validation {
    condition     = var.gateway_hs256_secret == null || try(length(var.gateway_hs256_secret) >= 32, false)
    error_message = "gateway_hs256_secret: at least 32 bytes."
  }
}
