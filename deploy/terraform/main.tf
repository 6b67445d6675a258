# The whole AWS side of tidewire: devices -> IoT rule -> stream -> worker -> store and live queue ->
# broadcaster -> screens, and the gateway that lets viewers in. README.md says in which order things come.

data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}
data "aws_region" "current" {}

locals {
  account   = data.aws_caller_identity.current.account_id
  partition = data.aws_partition.current.partition
  region    = data.aws_region.current.region

  has_screens    = var.live_queues > 0
  has_timestream = var.timestream != null
  has_influx     = var.influx != null
  on_ecs         = var.run_on == "ecs"

  tags = merge({ Application = var.name }, var.tags)
}
