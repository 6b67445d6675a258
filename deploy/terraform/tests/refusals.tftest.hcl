# What would do harm is refused when it is planned, with the remedy.

mock_provider "aws" {}

variables {
  gateway = { jwks_url = "https://issuer.example/jwks.json" }
  image   = "123456789012.dkr.ecr.eu-central-1.amazonaws.com/tidewire:1"
  network = { vpc_id = "vpc-1", subnet_ids = ["subnet-1"] }
}

run "a_key_that_scatters_a_device" {
  command = plan
  variables {
    iot = { partition_key = "$${newuuid()}" }
  }
  expect_failures = [var.iot]
}

run "nowhere_to_write" {
  command = plan
  variables {
    timestream = null
  }
  expect_failures = [var.timestream]
}

run "a_token_in_clear" {
  command = plan
  variables {
    settings = { influx = { token = "hush" } }
  }
  expect_failures = [var.settings]
}

run "a_collectors_token_in_clear" {
  command = plan
  variables {
    settings = { traces = { endpoint = "https://collector:4318", headers = "authorization=hush" } }
  }
  expect_failures = [var.settings]
}

run "a_stream_made_that_nobody_reads" {
  command = plan
  variables {
    settings = { source = { streams = ["plant", "far"] } }
  }
  expect_failures = [var.settings]
}

run "influx_over_http" {
  command = plan
  variables {
    influx = { url = "http://influx:8086", org = "o", bucket = "b" }
  }
  expect_failures = [var.influx]
}

run "killed_before_it_has_released" {
  command = plan
  variables {
    settings = { shutdown = { grace_s = 58 } }
  }
  expect_failures = [var.ecs]
}

run "more_patience_than_fargate_has" {
  command = plan
  variables {
    ecs = { stop_timeout_s = 180 }
  }
  expect_failures = [var.ecs]
}

run "workers_without_shards" {
  command = plan
  variables {
    stream = { shards = 2 }
    worker = { min = 1, max = 8 }
  }
  expect_failures = [var.worker]
}

run "workers_without_a_shard_each" {
  command = plan
  variables {
    worker = { shards_per_worker = 0.5 }
  }
  expect_failures = [var.worker]
}

run "no_such_fargate_size" {
  command = plan
  variables {
    worker = { cpu = 256, memory_mib = 8192 }
  }
  expect_failures = [var.worker]
}

run "no_keys_for_tokens" {
  command = plan
  variables {
    gateway = {}
  }
  expect_failures = [var.gateway]
}

run "keys_that_anybody_could_change" {
  command = plan
  variables {
    gateway = { jwks_url = "http://issuer.example/jwks.json" }
  }
  expect_failures = [var.gateway]
}

run "ecs_without_a_network" {
  command = plan
  variables {
    network = null
  }
  expect_failures = [var.network]
}

run "pods_of_no_cluster" {
  command = plan
  variables {
    run_on = "eks-pod-identity"
  }
  expect_failures = [var.kubernetes]
}

run "a_stage_without_limits" {
  command = plan
  variables {
    api = { rate = 0 }
  }
  expect_failures = [var.api]
}
