terraform {
  # `optional()` with defaults and cross-variable validation.
  required_version = ">= 1.9"

  required_providers {
    aws = {
      source = "hashicorp/aws"
      # 6.8 is the first that takes SQS messages of 1 MiB.
      version = ">= 6.8, < 7.0"
    }
  }
}
