/*
 * rabbitmq-c, as its examples advise: `amqp_consumer.c` and `amqp_listen.c` for consuming (release the buffers, consume
 * a message, destroy the envelope), `amqp_producer.c` for publishing (one `amqp_basic_publish` after the other on one
 * channel), `amqp_confirm_select.c` for confirms. What is published is written at once; there is nothing to flush.
 *
 * rabbitmq_c WORK BYTES MESSAGES URL
 */

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include <amqp.h>
#include <amqp_tcp_socket.h>

enum { CHANNEL = 1, FRAME_MAX = 131072, IN_FLIGHT = 1000, PREFETCH = 500 };

struct job {
  const char *work;
  size_t size;
  long messages;
  amqp_connection_state_t conn;
};

/* What was measured between start and stop. */
struct meter {
  double begun, cpu;
};

static double wall(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return now.tv_sec + now.tv_nsec / 1e9;
}

static double cpu(void) {
  struct rusage usage;
  getrusage(RUSAGE_SELF, &usage);
  return usage.ru_utime.tv_sec + usage.ru_stime.tv_sec + (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static struct meter meter_start(void) {
  return (struct meter){wall(), cpu()};
}

/* ru_maxrss would count the parent's. */
static long peak_kib(void) {
  char line[256];
  long kib = 0;
  FILE *status = fopen("/proc/self/status", "r");
  while (status && fgets(line, sizeof line, status)) {
    if (sscanf(line, "VmHWM: %ld", &kib) == 1) {
      break;
    }
  }
  if (status) {
    fclose(status);
  }
  return kib;
}

static void meter_stop(const struct meter *meter, const struct job *job) {
  double wall_s = wall() - meter->begun, cpu_s = cpu() - meter->cpu;
  printf("{\"messages\": %ld, \"wall_s\": %.6f, \"cpu_us_per_message\": %.4f, \"messages_per_s\": %.0f, \"peak_kib\": %ld}\n",
         job->messages, wall_s, cpu_s * 1e6 / job->messages, job->messages / wall_s, peak_kib());
}

static void die(const char *what) {
  fprintf(stderr, "rabbitmq_c: %s failed\n", what);
  exit(1);
}

static void check(int status, const char *what) {
  if (status != AMQP_STATUS_OK) {
    fprintf(stderr, "%s: ", amqp_error_string2(status));
    die(what);
  }
}

static void check_reply(amqp_rpc_reply_t reply, const char *what) {
  if (reply.reply_type != AMQP_RESPONSE_NORMAL) {
    if (reply.reply_type == AMQP_RESPONSE_LIBRARY_EXCEPTION) {
      fprintf(stderr, "%s: ", amqp_error_string2(reply.library_error));
    }
    die(what);
  }
}

static amqp_connection_state_t connect_to(char *url) {
  struct amqp_connection_info info;
  check(amqp_parse_url(url, &info), "amqp_parse_url");
  const char *vhost = info.vhost && *info.vhost ? info.vhost : "/";
  amqp_connection_state_t conn = amqp_new_connection();
  amqp_socket_t *socket = amqp_tcp_socket_new(conn);
  if (!socket) {
    die("amqp_tcp_socket_new");
  }
  check(amqp_socket_open(socket, info.host, info.port), "amqp_socket_open");
  check_reply(amqp_login(conn, vhost, 0, FRAME_MAX, 0, AMQP_SASL_METHOD_PLAIN, info.user, info.password), "amqp_login");
  amqp_channel_open(conn, CHANNEL);
  check_reply(amqp_get_rpc_reply(conn), "amqp_channel_open");
  return conn;
}

/* No properties: transient. */
static void publish(const struct job *job, amqp_bytes_t body) {
  check(amqp_basic_publish(job->conn, CHANNEL, amqp_empty_bytes, amqp_cstring_bytes("bench"), 0, 0, NULL, body),
        "amqp_basic_publish");
}

static amqp_bytes_t body_of(const struct job *job) {
  amqp_bytes_t body = amqp_bytes_malloc(job->size);
  memset(body.bytes, 'x', body.len);
  return body;
}

/* Reads acks until that tag is confirmed, and then what has come as well; returns the last confirmed tag. */
static uint64_t confirmed(amqp_connection_state_t conn, uint64_t last, uint64_t tag) {
  while (last < tag || amqp_frames_enqueued(conn) || amqp_data_in_buffer(conn)) {
    amqp_frame_t frame;
    amqp_maybe_release_buffers(conn);
    check(amqp_simple_wait_frame(conn, &frame), "amqp_simple_wait_frame");
    if (frame.frame_type != AMQP_FRAME_METHOD || frame.payload.method.id != AMQP_BASIC_ACK_METHOD) {
      die("waiting for an ack");
    }
    /* The brokers here confirm in order, so `multiple` says nothing more. */
    last = ((amqp_basic_ack_t *)frame.payload.method.decoded)->delivery_tag;
  }
  return last;
}

static void publish_with_confirms(const struct job *job, uint64_t in_flight) {
  amqp_confirm_select(job->conn, CHANNEL);
  check_reply(amqp_get_rpc_reply(job->conn), "amqp_confirm_select");
  amqp_bytes_t body = body_of(job);
  publish(job, body);
  uint64_t sent = 1, last = confirmed(job->conn, 0, 1);
  struct meter meter = meter_start();
  for (long index = 0; index < job->messages; index++) {
    if (sent - last == in_flight) {
      /* Half of them at once. */
      last = confirmed(job->conn, last, sent - in_flight / 2);
    }
    publish(job, body);
    sent++;
  }
  confirmed(job->conn, last, sent);
  meter_stop(&meter, job);
}

static void round_trip(const struct job *job) {
  amqp_basic_qos(job->conn, CHANNEL, 0, PREFETCH, 0);
  check_reply(amqp_get_rpc_reply(job->conn), "amqp_basic_qos");
}

static void publish_without(const struct job *job) {
  amqp_bytes_t body = body_of(job);
  publish(job, body);
  round_trip(job);
  struct meter meter = meter_start();
  for (long index = 0; index < job->messages; index++) {
    publish(job, body);
  }
  round_trip(job);
  meter_stop(&meter, job);
}

static void next_message(const struct job *job, int no_ack) {
  amqp_envelope_t envelope;
  amqp_maybe_release_buffers(job->conn);
  check_reply(amqp_consume_message(job->conn, &envelope, NULL, 0), "amqp_consume_message");
  if (!no_ack) {
    check(amqp_basic_ack(job->conn, CHANNEL, envelope.delivery_tag, 0), "amqp_basic_ack");
  }
  amqp_destroy_envelope(&envelope);
}

static void consume(const struct job *job, int no_ack) {
  char queue[32];
  snprintf(queue, sizeof queue, "bench-%zu", job->size);
  round_trip(job); /* The prefetch. */
  amqp_basic_consume(job->conn, CHANNEL, amqp_cstring_bytes(queue), amqp_empty_bytes, 0, no_ack, 0, amqp_empty_table);
  check_reply(amqp_get_rpc_reply(job->conn), "amqp_basic_consume");
  next_message(job, no_ack);
  struct meter meter = meter_start();
  for (long index = 0; index < job->messages; index++) {
    next_message(job, no_ack);
  }
  meter_stop(&meter, job);
}

/* One by one: the library has no other way. */
static void declare(const struct job *job) {
  struct meter meter = {0, 0};
  for (long index = -1; index < job->messages; index++) {
    if (index == 0) {
      meter = meter_start();
    }
    amqp_maybe_release_buffers(job->conn);
    amqp_queue_declare(job->conn, CHANNEL, amqp_cstring_bytes("bench"), 0, 0, 0, 0, amqp_empty_table);
    check_reply(amqp_get_rpc_reply(job->conn), "amqp_queue_declare");
  }
  meter_stop(&meter, job);
}

int main(int argc, char **argv) {
  if (argc != 5) {
    fprintf(stderr, "usage: rabbitmq_c WORK BYTES MESSAGES URL\n");
    return 2;
  }
  struct job job = {argv[1], strtoul(argv[2], NULL, 10), atol(argv[3]), connect_to(argv[4])};
  if (!strcmp(job.work, "confirm")) {
    publish_with_confirms(&job, IN_FLIGHT);
  } else if (!strcmp(job.work, "wait")) {
    publish_with_confirms(&job, 1);
  } else if (!strcmp(job.work, "publish")) {
    publish_without(&job);
  } else if (!strcmp(job.work, "ack") || !strcmp(job.work, "ack-plain")) {
    consume(&job, 0);
  } else if (!strcmp(job.work, "noack")) {
    consume(&job, 1);
  } else if (!strcmp(job.work, "declare")) {
    declare(&job);
  } else {
    die(job.work);
  }
  return 0;
}
