variable "run_on" {
  description = "Where worker and broadcaster run: ecs, eks-irsa, eks-pod-identity. On the last two this module makes all but the processes (deploy/kubernetes runs them), and roles that their service accounts take on."
  type        = string
  default     = "ecs"

  validation {
    condition     = contains(["ecs", "eks-irsa", "eks-pod-identity"], var.run_on)
    error_message = "run_on: ecs, eks-irsa or eks-pod-identity."
  }
}

variable "network" {
  description = <<-EOT
    For ECS. The subnets need a way out to AWS's services: NAT, VPC endpoints, or public addresses.
    `metrics_from`: security groups that may read port 9090 (Prometheus); nobody else may.
  EOT
  type = object({
    vpc_id           = string
    subnet_ids       = list(string)
    assign_public_ip = optional(bool, false)
    metrics_from     = optional(set(string), [])
  })
  default = null

  validation {
    condition     = var.run_on != "ecs" || try(length(var.network.subnet_ids) > 0, false)
    error_message = "network: ECS needs to know the VPC and at least one subnet."
  }
}

variable "kubernetes" {
  description = "For EKS: the namespace of deploy/kubernetes, and the cluster's OIDC provider (its ARN, and its issuer without https://) or its name."
  type = object({
    namespace         = optional(string, "tidewire")
    cluster_name      = optional(string)
    oidc_provider_arn = optional(string)
    oidc_issuer       = optional(string)
  })
  default = null

  validation {
    condition     = var.run_on != "eks-irsa" || try(var.kubernetes.oidc_provider_arn != null && var.kubernetes.oidc_issuer != null, false)
    error_message = "kubernetes: eks-irsa needs oidc_provider_arn and oidc_issuer."
  }

  validation {
    condition     = var.run_on != "eks-pod-identity" || try(var.kubernetes.cluster_name != null, false)
    error_message = "kubernetes: eks-pod-identity needs cluster_name."
  }
}

variable "ecs" {
  description = <<-EOT
    `existing_cluster_arn`: null makes a cluster. `stop_timeout_s`: how long Fargate waits after SIGTERM,
    at least 5 s more than shutdown.grace_s (25), at most 120.
  EOT
  type = object({
    existing_cluster_arn = optional(string)
    container_insights   = optional(bool, false)
    stop_timeout_s       = optional(number, 60)
  })
  default = {}

  validation {
    condition     = var.ecs.stop_timeout_s <= 120
    error_message = "ecs.stop_timeout_s: Fargate waits 120 s at most."
  }

  validation {
    condition     = var.ecs.stop_timeout_s >= try(tonumber(var.settings.shutdown.grace_s), 25) + 5
    error_message = "ecs.stop_timeout_s: at least 5 s more than shutdown.grace_s, or a worker is killed before it has checkpointed and released."
  }
}

variable "worker" {
  description = <<-EOT
    Workers on ECS. `min` and `max`: how many; equal ones switch scaling off. Between them, a worker for
    each `shards_per_worker` open shards; more while the processor is above `cpu_target_percent` or the
    stream is read later than `behind_max_s` (seconds), but by these never more than there are shards.
  EOT
  type = object({
    cpu                = optional(number, 256)
    memory_mib         = optional(number, 512)
    min                = optional(number, 2)
    max                = optional(number, 4)
    shards_per_worker  = optional(number, 4)
    cpu_target_percent = optional(number, 60)
    behind_max_s       = optional(number, 60)
  })
  default = {}

  validation {
    condition     = contains([256, 512, 1024, 2048, 4096], var.worker.cpu) && var.worker.memory_mib >= 2 * var.worker.cpu && var.worker.memory_mib <= min(8 * var.worker.cpu, 30720) && (var.worker.memory_mib == 512 || var.worker.memory_mib % 1024 == 0)
    error_message = "worker: Fargate has cpu 256, 512, 1024, 2048 or 4096, and memory of 2 to 8 times that in steps of 1024 (or 512)."
  }

  validation {
    condition     = var.worker.min >= 1 && var.worker.max >= var.worker.min
    error_message = "worker: min is at least 1 and max at least min."
  }

  validation {
    condition     = var.worker.shards_per_worker >= 1
    error_message = "worker.shards_per_worker: at least 1, or workers would stand by idle."
  }

  validation {
    condition     = var.stream.shards == null || try(var.worker.max <= max(var.stream.shards, var.worker.min), false)
    error_message = "worker.max: more workers than stream.shards would stand by idle."
  }
}

variable "broadcaster" {
  description = "Broadcasters on ECS: one for each live queue, and `standby` more, of which each takes over within seconds."
  type = object({
    cpu        = optional(number, 256)
    memory_mib = optional(number, 512)
    standby    = optional(number, 1)
  })
  default = {}

  validation {
    condition     = contains([256, 512, 1024, 2048, 4096], var.broadcaster.cpu) && var.broadcaster.memory_mib >= 2 * var.broadcaster.cpu && var.broadcaster.memory_mib <= min(8 * var.broadcaster.cpu, 30720) && (var.broadcaster.memory_mib == 512 || var.broadcaster.memory_mib % 1024 == 0)
    error_message = "broadcaster: Fargate has cpu 256, 512, 1024, 2048 or 4096, and memory of 2 to 8 times that in steps of 1024 (or 512)."
  }
}
