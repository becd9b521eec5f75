# The payments service: it serves in both Regions every day, so each must carry the other's load from one moment to the next.

resource "aws_security_group" "front_door" {
  name        = "holdfast-front-door"
  description = "The load balancer"
  vpc_id      = aws_vpc.this.id
}

resource "aws_vpc_security_group_ingress_rule" "front_door" {
  security_group_id = aws_security_group.front_door.id
  description       = "TLS from customers"
  cidr_ipv4         = "0.0.0.0/0"
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
}

resource "aws_vpc_security_group_egress_rule" "front_door" {
  security_group_id            = aws_security_group.front_door.id
  description                  = "The tasks"
  referenced_security_group_id = aws_security_group.service.id
  ip_protocol                  = "tcp"
  from_port                    = 8080
  to_port                      = 8080
}

resource "aws_security_group" "service" {
  name        = "holdfast-service"
  description = "Tasks of the payments service"
  vpc_id      = aws_vpc.this.id
}

resource "aws_vpc_security_group_ingress_rule" "service" {
  security_group_id            = aws_security_group.service.id
  description                  = "From the load balancer"
  referenced_security_group_id = aws_security_group.front_door.id
  ip_protocol                  = "tcp"
  from_port                    = 8080
  to_port                      = 8080
}

resource "aws_vpc_security_group_egress_rule" "service" {
  for_each = { tls = 443, postgresql = local.topology.ledger.port }

  security_group_id = aws_security_group.service.id
  description       = each.key == "tls" ? "AWS and the card networks" : "The ledger, wherever the writer endpoint points"
  cidr_ipv4         = "0.0.0.0/0"
  ip_protocol       = "tcp"
  from_port         = each.value
  to_port           = each.value
}

locals {
  serves = contains(var.platform.left_out, "service") ? 0 : 1
}

resource "aws_lb" "service" {
  #checkov:skip=CKV_AWS_91:Access logs hold customers' addresses: how long they are kept is the payments team's to say.
  #checkov:skip=CKV2_AWS_28:A web application firewall is the payments team's; its rules depend on their API.
  count = local.serves

  name                       = "holdfast-service"
  load_balancer_type         = "application"
  subnets                    = [for subnet in aws_subnet.public : subnet.id]
  security_groups            = [aws_security_group.front_door.id]
  drop_invalid_header_fields = true
  enable_deletion_protection = true

  # Keep-alive pins clients to a dying Region: the shorter, the sooner they ask DNS again.
  idle_timeout      = 30
  client_keep_alive = 60
}

resource "aws_lb_target_group" "service" {
  count = local.serves

  name                 = "holdfast-service"
  port                 = 8080
  protocol             = "HTTP"
  target_type          = "ip"
  vpc_id               = aws_vpc.this.id
  deregistration_delay = 15

  health_check {
    # Liveness, which must not depend on the database: during a promotion both Regions would lose every target,
    # and Route 53 would treat both as healthy.
    path                = "/healthz"
    interval            = 5
    timeout             = 2
    healthy_threshold   = 2
    unhealthy_threshold = 2
  }
}

resource "aws_acm_certificate" "service" {
  count = local.serves

  domain_name               = var.platform.service_domain
  subject_alternative_names = ["${local.region}.${var.platform.service_domain}"]
  validation_method         = "DNS" # Each Region validates its own; renewal needs no other Region.

  lifecycle {
    create_before_destroy = true
  }
}

# Waits for the records of infra/global, or for yours where `routing` is left out: a listener takes no other certificate.
resource "aws_acm_certificate_validation" "service" {
  count = local.serves

  certificate_arn = aws_acm_certificate.service[0].arn
}

resource "aws_lb_listener" "service" {
  count = local.serves

  load_balancer_arn = aws_lb.service[0].arn
  port              = 443
  protocol          = "HTTPS"
  ssl_policy        = "ELBSecurityPolicy-TLS13-1-2-2021-06"
  certificate_arn   = aws_acm_certificate_validation.service[0].certificate_arn

  default_action {
    type             = "forward"
    target_group_arn = aws_lb_target_group.service[0].arn
  }
}

resource "aws_ecs_cluster" "service" {
  count = local.serves

  name = "holdfast-service"
  setting {
    name  = "containerInsights"
    value = "enabled"
  }
}

resource "aws_cloudwatch_log_group" "service" {
  #checkov:skip=CKV_AWS_158:The same as the functions' logs.
  count = local.serves

  name              = "/holdfast/service"
  retention_in_days = var.platform.log_retention_days
}

resource "aws_iam_role" "service" {
  for_each = local.serves == 1 ? {
    starts = "ECS starts tasks: it pulls the image and writes the log"
    runs   = "What the payments service itself may call"
  } : {}

  name        = "holdfast-service-${each.key}-${local.region}"
  description = each.value
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Action    = "sts:AssumeRole"
      Principal = { Service = "ecs-tasks.amazonaws.com" }
      Condition = {
        StringEquals = { "aws:SourceAccount" = local.account }
        ArnLike      = { "aws:SourceArn" = "arn:aws:ecs:${local.region}:${local.account}:*" }
      }
    }]
  })
}

resource "aws_iam_role_policy_attachment" "service_starts" {
  count = local.serves

  role       = aws_iam_role.service["starts"].name
  policy_arn = "arn:aws:iam::aws:policy/service-role/AmazonECSTaskExecutionRolePolicy"
}

resource "aws_iam_role_policy" "service_runs" {
  count = local.serves

  name = "what-it-calls"
  role = aws_iam_role.service["runs"].id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        # The writer's lease and the list of attempts in doubt: it reads the coordination table and never writes there.
        Effect   = "Allow"
        Action   = ["dynamodb:GetItem"]
        Resource = local.here.coordination
      },
      {
        Effect   = "Allow"
        Action   = ["dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:Query"]
        Resource = local.here.attempts
      },
      {
        Effect   = "Allow"
        Action   = ["s3:GetObject", "s3:PutObject"]
        Resource = local.here.objects
      },
      {
        Effect    = "Allow"
        Action    = ["kms:Decrypt", "kms:GenerateDataKey"]
        Resource  = aws_kms_key.at_rest.arn
        Condition = { StringEquals = { "kms:ViaService" = "s3.${local.region}.amazonaws.com" } }
      },
    ]
  })
}

resource "aws_ecs_task_definition" "service" {
  #checkov:skip=CKV_AWS_336:Whether the image can run on a read-only file system is the payments team's to say.
  count = local.serves

  family                   = "holdfast-service"
  requires_compatibilities = ["FARGATE"]
  network_mode             = "awsvpc"
  cpu                      = 1024
  memory                   = 2048
  execution_role_arn       = aws_iam_role.service["starts"].arn
  task_role_arn            = aws_iam_role.service["runs"].arn

  runtime_platform {
    cpu_architecture = "ARM64"
  }

  container_definitions = jsonencode([{
    name         = "service"
    image        = var.platform.service_image
    essential    = true
    portMappings = [{ containerPort = 8080 }]
    # Java and others cache DNS for ever; Aurora asks for five seconds at most in front of the writer endpoint.
    environment = [
      { name = "AWS_REGION", value = local.region },
      { name = "LEDGER_ENDPOINT", value = jsondecode(var.holdfast_config).topology.writer_endpoint },
      { name = "DNS_CACHE_SECONDS", value = "5" },
    ]
    logConfiguration = {
      logDriver = "awslogs"
      options = {
        "awslogs-group"         = aws_cloudwatch_log_group.service[0].name, "awslogs-region" = local.region,
        "awslogs-stream-prefix" = "service"
      }
    }
  }])
}

resource "aws_ecs_service" "service" {
  count = local.serves

  name            = "service"
  cluster         = aws_ecs_cluster.service[0].id
  task_definition = aws_ecs_task_definition.service[0].arn
  launch_type     = "FARGATE"

  # Both Regions' load, before anything scales: an outage takes a minute, new tasks take longer, and every customer of
  # the dark Region asks for capacity in the other at the same moment.
  desired_count = 2 * var.platform.service_tasks

  availability_zone_rebalancing = "ENABLED"

  network_configuration {
    subnets         = [for subnet in aws_subnet.private : subnet.id]
    security_groups = [aws_security_group.service.id]
  }

  load_balancer {
    target_group_arn = aws_lb_target_group.service[0].arn
    container_name   = "service"
    container_port   = 8080
  }

  deployment_circuit_breaker {
    enable   = true
    rollback = true
  }

  lifecycle {
    # Scaling and the payments team's own deployments move these; an apply must not move them back.
    ignore_changes = [desired_count, task_definition]
  }
}

resource "aws_appautoscaling_target" "service" {
  count = local.serves

  service_namespace  = "ecs"
  resource_id        = "service/${aws_ecs_cluster.service[0].name}/${aws_ecs_service.service[0].name}"
  scalable_dimension = "ecs:service:DesiredCount"

  # Never below what carries both Regions' load; up to twice that again, for the clients that try once more.
  min_capacity = 2 * var.platform.service_tasks
  max_capacity = 4 * var.platform.service_tasks
}

resource "aws_appautoscaling_policy" "service" {
  count = local.serves

  name               = "half-busy"
  policy_type        = "TargetTrackingScaling"
  service_namespace  = aws_appautoscaling_target.service[0].service_namespace
  resource_id        = aws_appautoscaling_target.service[0].resource_id
  scalable_dimension = aws_appautoscaling_target.service[0].scalable_dimension

  target_tracking_scaling_policy_configuration {
    # With half of the CPU in use on an ordinary day twice the load still fits.
    target_value       = 50
    scale_in_cooldown  = 300
    scale_out_cooldown = 15

    predefined_metric_specification {
      predefined_metric_type = "ECSServiceAverageCPUUtilization"
    }
  }
}
