/* What sticky-group.ts needs of sockets that share a port, and Node.js does not offer. */
#include "native.h"

#include <errno.h>
#include <sys/socket.h>

/* sizeof(struct sock_filter), and what the kernel takes (linux/bpf_common.h). Alpine has those headers in another package. */
#define INSTRUCTION_BYTES 8
#define MOST_INSTRUCTIONS 4096

/* struct sock_fprog */
struct program {
  unsigned short length;
  void *instructions;
};

/* listen(2) alone: libuv would also poll the socket, and then accept on it. */
napi_value listen_without_accepting(napi_env env, napi_callback_info info) {
  napi_value argument[2], result;
  int32_t fd, backlog;
  size_t count = 2;
  napi_get_cb_info(env, info, &count, argument, NULL, NULL);
  if (napi_get_value_int32(env, argument[0], &fd) != napi_ok || napi_get_value_int32(env, argument[1], &backlog) != napi_ok) {
    napi_throw_type_error(env, NULL, "a descriptor and a backlog are wanted");
    return NULL;
  }
  napi_create_int32(env, listen(fd, backlog) == 0 ? 0 : errno, &result);
  return result;
}

/* SO_ATTACH_REUSEPORT_CBPF (socket(7)); the bytes are an array of struct sock_filter, which the kernel checks. */
napi_value attach_reuse_port_filter(napi_env env, napi_callback_info info) {
  napi_value argument[2], result;
  int32_t fd;
  void *bytes;
  size_t size, count = 2;
  napi_get_cb_info(env, info, &count, argument, NULL, NULL);
  if (napi_get_value_int32(env, argument[0], &fd) != napi_ok ||
      napi_get_buffer_info(env, argument[1], &bytes, &size) != napi_ok) {
    napi_throw_type_error(env, NULL, "a descriptor and bytes are wanted");
    return NULL;
  }
  const struct program program = {(unsigned short)(size / INSTRUCTION_BYTES), bytes};
  int failed = EINVAL;
  if (size / INSTRUCTION_BYTES <= MOST_INSTRUCTIONS) {
    int answer = setsockopt(fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &program, sizeof program);
    failed = answer == 0 ? 0 : errno;
  }
  napi_create_int32(env, failed, &result);
  return result;
}
