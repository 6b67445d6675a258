locals {
  lease_table      = coalesce(var.existing_lease_table, "${var.name}-leases")
  connection_table = coalesce(var.existing_connection_table, "${var.name}-connections")
  table_arn        = "arn:${local.partition}:dynamodb:${local.region}:${local.account}:table"

  makes_connections = local.has_screens && var.existing_connection_table == null
  connection_keys   = try(var.settings.connections, {})
}

# Laid out as KCL lays it out, so that a KCL fleet could take it over. Small, and paid by use.
resource "aws_dynamodb_table" "leases" {
  count = var.existing_lease_table == null ? 1 : 0

  name                        = local.lease_table
  billing_mode                = "PAY_PER_REQUEST"
  hash_key                    = "leaseKey"
  deletion_protection_enabled = var.deletion_protection
  tags                        = local.tags

  attribute {
    name = "leaseKey"
    type = "S"
  }

  point_in_time_recovery {
    enabled = true
  }

  server_side_encryption {
    # With false, AWS's own key: no charge for each call of a key, and none is refused.
    enabled = false
  }
}

resource "aws_dynamodb_table" "connections" {
  count = local.makes_connections ? 1 : 0

  name                        = local.connection_table
  billing_mode                = "PAY_PER_REQUEST"
  hash_key                    = try(local.connection_keys.hash_key, "LookupKey")
  range_key                   = try(local.connection_keys.sort_key, "SortKey")
  deletion_protection_enabled = var.deletion_protection
  tags                        = local.tags

  attribute {
    name = try(local.connection_keys.hash_key, "LookupKey")
    type = "S"
  }

  attribute {
    name = try(local.connection_keys.sort_key, "SortKey")
    type = "S"
  }

  # `$disconnect` is best effort: what it leaves behind goes when its token or its two hours end.
  ttl {
    attribute_name = "expires_at"
    enabled        = true
  }

  point_in_time_recovery {
    enabled = true
  }

  server_side_encryption {
    enabled = false
  }
}
