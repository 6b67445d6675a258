# A stream, its KCL lease table, a Timestream table and the blog's connection table are there already; the
# processes run on an EKS cluster. What is made: queues, WebSocket API, gateway, roles for the pods.

terraform {
  required_version = ">= 1.9"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 6.8, < 7.0"
    }
  }
}

variable "image" {
  description = "The image in your ECR repository, with your keys in /etc/tidewire/jwks.json."
  type        = string
}

variable "stream_arn" {
  description = "The stream that devices' messages are on."
  type        = string
}

variable "cluster_name" {
  description = "The EKS cluster, with the Pod Identity agent on it."
  type        = string
}

module "tidewire" {
  source = "../.."

  name   = "tidewire-blue"
  image  = var.image
  run_on = "eks-pod-identity"

  kubernetes = { cluster_name = var.cluster_name }

  stream = { existing_arn = var.stream_arn }
  iot    = null

  existing_lease_table      = "sensor-consumer"
  existing_connection_table = "connections"

  timestream = {
    existing      = true
    database      = "sensors"
    table         = "readings"
    routed_tables = ["pumps"]
  }

  live_queues = 2
  gateway     = { jwks_file = "/etc/tidewire/jwks.json" }

  api = {
    stage  = "live"
    domain = { name = "live.example.com", certificate_arn = "arn:aws:acm:eu-central-1:123456789012:certificate/11111111-2222-3333-4444-555555555555" }
  }

  settings = {
    # Beside the KCL fleet until it is gone: docs/mixed-fleets.md.
    lease      = { fleet = "mixed" }
    timestream = { routes = ["device:pump-* -> pumps"] }
    # The blog's Lambdas write that table, too, and tell nobody.
    broadcaster = { snapshot_every_ms = 2000 }
  }
}

output "config_toml" {
  value = module.tidewire.config_toml
}

output "role_arns" {
  value = module.tidewire.role_arns
}
