# What the processes are told: the settings of docs/configuration.md, as variables of the environment and
# as one file. `settings` of the caller wins.

locals {
  own_settings = {
    # One stream, unless the caller names several, of which ours is one.
    source = { for key in ["stream"] : key => local.stream_is_ours ? local.stream_name : local.stream_arn if length(local.several_streams) == 0 }
    lease  = { table = local.lease_table }
    decode = { device_id = "field:device_id", time_field = "ts", time_unit = "ms" }

    timestream = {
      for key, value in {
        database = local.timestream_database
        table    = try(var.timestream.table, null)
      } : key => value if value != null
    }

    influx = {
      for key in ["url", "api", "org", "bucket", "database"] :
      key => var.influx[key] if try(var.influx[key], null) != null
    }

    queue       = { for key in ["urls"] : key => [for index in local.live : aws_sqs_queue.live[index].url] if local.has_screens }
    dead_letter = { queue_url = aws_sqs_queue.dead_letters.url }
    connections = { for key in ["table"] : key => local.connection_table if local.has_screens }
    aws         = { region = local.region }
    gateway     = { for key in ["jwks_url", "jwks_file", "tickets"] : key => var.gateway[key] if local.has_screens && var.gateway[key] != null && var.gateway[key] != false }
    http        = { listen = "0.0.0.0:9090" }
    shutdown    = { grace_s = 25 }
    log         = { format = "json" }
    # What scaling goes by; on EKS nothing makes metrics of it.
    cloudwatch = { for key in ["embedded_metrics"] : key => true if local.on_ecs }
  }

  settings = {
    for section in setunion(keys(local.own_settings), keys(var.settings)) :
    section => merge(try(local.own_settings[section], {}), try(var.settings[section], {}))
  }

  # As variables are written: lists with commas, tables as name=what.
  variables = {
    for section, entries in local.settings : section => {
      for key, value in entries : "TIDEWIRE_${upper(section)}__${upper(key)}" => try(
        tostring(value),
        join(",", tolist(value)),
        join(",", [for name, what in value : "${name}=${what}"]),
      )
    }
  }

  # Nobody is told what he does not need.
  told = {
    worker      = ["source", "lease", "decode", "timestream", "influx", "queue", "dead_letter", "pipeline", "aws", "http", "shutdown", "log", "traces", "cloudwatch"]
    broadcaster = ["queue", "broadcaster", "connections", "aws", "http", "shutdown", "log", "traces"]
    # Lambda sets AWS_REGION itself.
    gateway = ["queue", "connections", "gateway", "log"]
  }

  environment = {
    for process, sections in local.told : process => merge([
      for section in sections : try(local.variables[section], {})
    ]...)
  }

  # The stage's address comes after the gateway's function, whose variables are above.
  endpoint_management = { for key in ["endpoint_management"] : key => local.management_url if local.has_screens }
  settings_of_file    = merge(local.settings, { aws = merge(local.endpoint_management, local.settings.aws) })

  # TOML takes JSON's texts, numbers, booleans and lists as they are; jsonencode() writes three characters
  # as escapes that nobody wants to read.
  config_toml = join("\n", concat(
    ["# Written by Terraform. Secrets are not here: they come from files or variables."],
    flatten([
      for section, entries in local.settings_of_file : concat(
        ["", "[${section}]"],
        [
          for key, value in entries : format("%s = %s", key, (
            can(keys(value))
            ? "{ ${join(", ", [for name, what in value : "${jsonencode(name)} = ${jsonencode(what)}"])} }"
            : replace(replace(replace(jsonencode(value), "\\u003c", "<"), "\\u003e", ">"), "\\u0026", "&")
          ))
        ],
      ) if length(entries) > 0
    ]),
    [""],
  ))
}
