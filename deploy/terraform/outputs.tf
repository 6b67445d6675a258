output "websocket_url" {
  description = "Where browsers connect; null without screens."
  value       = local.websocket_url
}

output "management_url" {
  description = "Where the broadcaster posts (aws.endpoint_management)."
  value       = local.management_url
}

output "config_toml" {
  description = "All settings as one file, for --config, Kubernetes, and commands such as `tidewire leases`. No secrets."
  value       = local.config_toml
}

output "stream_arn" {
  description = "The stream."
  value       = local.stream_arn
}

output "dead_letter_queue_url" {
  description = "Where dead letters wait."
  value       = aws_sqs_queue.dead_letters.url
}

output "live_queue_urls" {
  description = "The live queues, in the order in which viewers are spread over them."
  value       = [for index in local.live : aws_sqs_queue.live[index].url]
}

output "role_arns" {
  description = "The roles of worker and broadcaster; for eks-irsa, the annotations of their service accounts."
  value       = { for process in local.daemons : process => aws_iam_role.daemon[process].arn }
}

output "policies" {
  description = "What each process may do, as JSON."
  value       = local.policies
}

output "influx_secret_arn" {
  description = "The secret that must hold InfluxDB's token; null without InfluxDB."
  value       = local.influx_secret_arn
}

output "rejected_bucket" {
  description = "Where Timestream reports what its magnetic store rejected later; null where it is not made here."
  value       = try(aws_s3_bucket.rejected[0].bucket, null)
}
