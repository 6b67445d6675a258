variable "name" {
  description = "What every name begins with. Two fleets in one account and region need two names."
  type        = string
  default     = "tidewire"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{1,23}$", var.name))
    error_message = "name: 2 to 24 small letters, digits and hyphens, beginning with a letter (the name of a bucket is made of it)."
  }
}

variable "image" {
  description = "The container image of worker and broadcaster, best by digest. Fargate pulls it with the execution role: a private ECR repository of this account and region."
  type        = string
}

variable "architecture" {
  description = "What the image was built for: ARM64 or X86_64."
  type        = string
  default     = "ARM64"

  validation {
    condition     = contains(["ARM64", "X86_64"], var.architecture)
    error_message = "architecture: ARM64 or X86_64."
  }
}

variable "tags" {
  description = "Tags of everything."
  type        = map(string)
  default     = {}
}

variable "permissions_boundary_arn" {
  description = "A boundary for every role made here."
  type        = string
  default     = null
}

variable "deletion_protection" {
  description = "Guard the tables against deletion. Leases lost mean reading a day again; connections lost mean screens that stand still until they connect again."
  type        = bool
  default     = true
}

variable "log_retention_days" {
  description = "How long CloudWatch keeps the logs."
  type        = number
  default     = 30
}

variable "alarm_actions" {
  description = "Topics that the two alarms speak to: dead letters are waiting, and the fleet is behind by half of the stream's retention."
  type        = list(string)
  default     = []
}

variable "settings" {
  description = <<-EOT
    Settings of tidewire by section, as in docs/configuration.md, over what this module sets itself:
    `{ decode = { time_field = "ts", time_unit = "ms" }, source = { initial_position = "LATEST" } }`.
    They become environment variables and the output `config_toml`; no secrets here.
  EOT
  type        = any
  default     = {}

  validation {
    condition = length(setintersection(
      toset(flatten([for section in values(var.settings) : keys(section)])),
      ["hs256_secret", "token", "headers", "access_key_id", "secret_access_key", "session_token"],
    )) == 0
    error_message = "settings: secrets would stand in clear in task definitions. Give InfluxDB's token as a secret (influx.token_secret_arn), the gateway's as gateway_hs256_secret, and let roles replace keys."
  }

  validation {
    condition = var.stream.existing_arn != null || !can(tolist(var.settings.source.streams)) || anytrue([
      for stream in try(tolist(var.settings.source.streams), []) :
      contains([stream, reverse(split("/", stream))[0], try(split(":", stream)[1], "")], "${var.name}-readings")
    ])
    error_message = "settings.source.streams: the stream that is made here (NAME-readings) is not among them, and nobody would read what the IoT rule puts on it."
  }
}

variable "stream" {
  description = <<-EOT
    The stream. `existing_arn`: one that is there already, made by somebody else. `shards`: provisioned
    with so many; null: on demand. `kms_key_arn`: your own key; null: AWS's key of Kinesis for a stream
    made here, and no right to decrypt for an existing one.
  EOT
  type = object({
    existing_arn    = optional(string)
    shards          = optional(number)
    retention_hours = optional(number, 24)
    kms_key_arn     = optional(string)
  })
  default = {}

  validation {
    condition     = var.stream.shards == null || try(var.stream.shards >= 1, false)
    error_message = "stream.shards: at least 1, or null for on demand."
  }

  validation {
    condition     = var.stream.retention_hours >= 24 && var.stream.retention_hours <= 8760
    error_message = "stream.retention_hours: from 24 to 8760."
  }

  validation {
    condition     = var.stream.existing_arn == null || can(regex("^arn:[^:]+:kinesis:[^:]+:[0-9]{12}:stream/.+$", var.stream.existing_arn))
    error_message = "stream.existing_arn: an ARN such as arn:aws:kinesis:eu-central-1:123456789012:stream/readings."
  }
}

variable "iot" {
  description = <<-EOT
    The IoT Core rule that puts messages on the stream; null makes none. `partition_key` decides what
    stays in order: records of one key do. The default topic is devices/ID/readings, and the key is ID.
  EOT
  type = object({
    sql           = optional(string, "SELECT *, topic(2) AS device_id FROM 'devices/+/readings'")
    partition_key = optional(string, "$${topic(2)}")
  })
  default = {}

  validation {
    condition     = var.iot == null || try(!can(regex("newuuid\\(|timestamp\\(|rand\\(", var.iot.partition_key)), false)
    error_message = "iot.partition_key: newuuid(), timestamp() and rand() scatter one device's messages over the shards, and their order is lost. Use $${topic(n)} or $${clientid()}."
  }

  validation {
    condition     = var.iot == null || try(length(var.iot.partition_key) > 0, false)
    error_message = "iot.partition_key: without one, Kinesis refuses the message."
  }
}

variable "existing_lease_table" {
  description = "The name of a lease table that is there already (a KCL application's, say); null makes NAME-leases."
  type        = string
  default     = null
}

variable "existing_connection_table" {
  description = "The name of a connection table that is there already, with the keys that settings name; null makes NAME-connections."
  type        = string
  default     = null
}

variable "timestream" {
  description = <<-EOT
    Timestream for LiveAnalytics, which takes no new customers since 2025-06-20; null leaves it out.
    `existing`: database and tables are there already (see to the rejection bucket of their magnetic
    store yourself). `routed_tables`: further tables that settings route readings to (timestream.routes).
    `rejected_days`: how long reports of rejected writes are kept.
  EOT
  type = object({
    existing           = optional(bool, false)
    database           = optional(string)
    table              = optional(string, "readings")
    routed_tables      = optional(set(string), [])
    memory_store_hours = optional(number, 24)
    magnetic_days      = optional(number, 365)
    rejected_days      = optional(number, 90)
  })
  default = {}

  validation {
    condition     = var.timestream != null || var.influx != null
    error_message = "timestream and influx: one of them at least; readings must go somewhere."
  }
}

variable "influx" {
  description = <<-EOT
    InfluxDB, alone (timestream = null) or beside Timestream; null leaves it out. `api`: v1, v2 or v3.
    v2 needs `org` and `bucket`, the others `database`. `token_secret_arn`: a secret of Secrets Manager
    whose value is the token; null makes one without a value, to be given by you once.
  EOT
  type = object({
    url              = string
    api              = optional(string, "v2")
    org              = optional(string)
    bucket           = optional(string)
    database         = optional(string)
    token_secret_arn = optional(string)
  })
  default = null

  validation {
    condition     = var.influx == null || try(contains(["v1", "v2", "v3"], var.influx.api), false)
    error_message = "influx.api: v1, v2 or v3."
  }

  validation {
    condition = (
      var.influx == null ||
      try(var.influx.api == "v2" && var.influx.org != null && var.influx.bucket != null, false) ||
      try(var.influx.api != "v2" && var.influx.database != null, false)
    )
    error_message = "influx: v2 needs org and bucket, v1 and v3 need database."
  }

  validation {
    condition     = var.influx == null || try(startswith(var.influx.url, "https://"), false)
    error_message = "influx.url: https://; the token would otherwise cross the network in clear."
  }
}

variable "live_queues" {
  description = "Live queues, each served by one broadcaster at a time; viewers are spread over them. 0 leaves screens out: no queue, no WebSocket API, no gateway, no broadcaster."
  type        = number
  default     = 1

  validation {
    condition     = var.live_queues >= 0 && var.live_queues <= 16 && floor(var.live_queues) == var.live_queues
    error_message = "live_queues: a whole number from 0 to 16; every queue gets every message, and costs so much."
  }
}
