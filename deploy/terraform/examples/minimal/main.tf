# From an empty account to a dashboard: all of it, in the default VPC with public addresses (nothing is let
# in). For accounts that have Timestream for LiveAnalytics; others take ../influx.

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
  description = "The image in your ECR repository."
  type        = string
}

variable "jwks_url" {
  description = "Where the issuer of your tokens publishes its keys."
  type        = string
}

data "aws_vpc" "default" {
  default = true
}

data "aws_subnets" "default" {
  filter {
    name   = "vpc-id"
    values = [data.aws_vpc.default.id]
  }
}

module "tidewire" {
  source = "../.."

  image = var.image

  network = {
    vpc_id           = data.aws_vpc.default.id
    subnet_ids       = data.aws_subnets.default.ids
    assign_public_ip = true
  }

  # An empty account has no role by which API Gateway writes logs.
  api     = { account_role = true }
  gateway = { jwks_url = var.jwks_url }

  settings = {
    decode = { device_id = "field:device_id", time_field = "ts", time_unit = "ms" }
  }
}

output "websocket_url" {
  value = module.tidewire.websocket_url
}

output "config_toml" {
  value = module.tidewire.config_toml
}
