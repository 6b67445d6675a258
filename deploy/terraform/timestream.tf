locals {
  makes_timestream    = local.has_timestream && !try(var.timestream.existing, false)
  timestream_database = local.has_timestream ? coalesce(var.timestream.database, var.name) : null
  timestream_tables   = local.has_timestream ? setunion([var.timestream.table], var.timestream.routed_tables) : toset([])
  timestream_arn      = "arn:${local.partition}:timestream:${local.region}:${local.account}:database/${coalesce(local.timestream_database, "none")}"
}

resource "aws_timestreamwrite_database" "this" {
  count = local.makes_timestream ? 1 : 0

  database_name = local.timestream_database
  tags          = local.tags
}

resource "aws_timestreamwrite_table" "this" {
  for_each = local.makes_timestream ? local.timestream_tables : toset([])

  database_name = aws_timestreamwrite_database.this[0].database_name
  table_name    = each.value
  tags          = local.tags

  retention_properties {
    memory_store_retention_period_in_hours  = var.timestream.memory_store_hours
    magnetic_store_retention_period_in_days = var.timestream.magnetic_days
  }

  # Writes older than the memory store are answered 200, and what conflicts among them is told to this
  # bucket only: without it those readings would be lost unseen.
  magnetic_store_write_properties {
    enable_magnetic_store_writes = true

    magnetic_store_rejected_data_location {
      s3_configuration {
        bucket_name       = aws_s3_bucket.rejected[0].bucket
        object_key_prefix = each.value
        encryption_option = "SSE_S3"
      }
    }
  }

  depends_on = [aws_s3_bucket_policy.rejected, aws_s3_bucket_public_access_block.rejected]
}

resource "aws_s3_bucket" "rejected" {
  count = local.makes_timestream ? 1 : 0

  bucket = "${var.name}-rejected-${local.account}-${local.region}"
  tags   = local.tags
}

resource "aws_s3_bucket_public_access_block" "rejected" {
  count = local.makes_timestream ? 1 : 0

  bucket                  = aws_s3_bucket.rejected[0].id
  block_public_acls       = true
  block_public_policy     = true
  ignore_public_acls      = true
  restrict_public_buckets = true
}

resource "aws_s3_bucket_server_side_encryption_configuration" "rejected" {
  count = local.makes_timestream ? 1 : 0

  bucket = aws_s3_bucket.rejected[0].id

  rule {
    apply_server_side_encryption_by_default {
      sse_algorithm = "AES256"
    }
  }
}

resource "aws_s3_bucket_lifecycle_configuration" "rejected" {
  count = local.makes_timestream ? 1 : 0

  bucket = aws_s3_bucket.rejected[0].id

  rule {
    id     = "forget"
    status = "Enabled"

    filter {}

    expiration {
      days = var.timestream.rejected_days
    }

    abort_incomplete_multipart_upload {
      days_after_initiation = 1
    }
  }
}

resource "aws_s3_bucket_policy" "rejected" {
  count = local.makes_timestream ? 1 : 0

  bucket = aws_s3_bucket.rejected[0].id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "NothingInClear"
      Effect    = "Deny"
      Principal = "*"
      Action    = "s3:*"
      Resource  = [aws_s3_bucket.rejected[0].arn, "${aws_s3_bucket.rejected[0].arn}/*"]
      Condition = { Bool = { "aws:SecureTransport" = "false" } }
    }]
  })
}
