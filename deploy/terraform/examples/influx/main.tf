# Readings go to an InfluxDB (Timestream for InfluxDB, say) instead of Timestream for LiveAnalytics, in your
# own VPC, on x86. The token goes by hand into the secret that is made here.

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

variable "vpc_id" {
  description = "Your VPC."
  type        = string
}

variable "private_subnet_ids" {
  description = "Subnets with a way out by NAT or VPC endpoints."
  type        = list(string)
}

module "tidewire" {
  source = "../.."

  image        = var.image
  architecture = "X86_64"

  stream     = { shards = 4 }
  worker     = { min = 1, max = 4 }
  timestream = null

  influx = {
    url    = "https://influx.example.com:8086"
    api    = "v2"
    org    = "plant"
    bucket = "readings"
  }

  network = {
    vpc_id     = var.vpc_id
    subnet_ids = var.private_subnet_ids
  }

  gateway = { jwks_url = var.jwks_url }

  settings = {
    influx  = { measurement = "field:kind" }
    gateway = { audience = "dashboard", allowed_claim = "devices", origins = ["https://dashboard.example.com"] }
  }
}

output "websocket_url" {
  value = module.tidewire.websocket_url
}

output "influx_secret_arn" {
  value = module.tidewire.influx_secret_arn
}
