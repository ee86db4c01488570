/*
 * tsunicorn.node: what Linux offers a supervisor and Node.js does not. native.ts documents each function.
 *
 * Plain Node-API, version 8, without libuv: one binary loads in Node.js 22, 24 and 26. It builds on glibc and on musl,
 * and runs on the libc that it was built on. JavaScript calls it in the main thread only.
 */
#include "native.h"

#include <dlfcn.h>
#include <errno.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

/* Alpine has the kernel's headers in a package of their own. Without them unixAcceptQueue() answers undefined. */
#if __has_include(<linux/unix_diag.h>) && __has_include(<linux/netlink.h>)
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>
#endif

/* pwritev2(2), since Linux 4.13; musl has the function since 1.2.5. */
#ifndef RWF_NOWAIT
#define RWF_NOWAIT 8
#endif

/* The arbiter waits no longer for a manager that does not read. */
#define NOTIFY_WAIT_USEC 250000
#define NOTIFY_MAX 2048

/* One that is missing is undefined. */
static void arguments(napi_env env, napi_callback_info info, napi_value *out, size_t count) {
  napi_get_cb_info(env, info, &count, out, NULL, NULL);
}

/* 0 and less mean "any child" to waitpid(2), and 0 "no alarm" to alarm(2). False: an exception is pending. */
static bool positive(napi_env env, napi_value value, int32_t *out) {
  if (napi_get_value_int32(env, value, out) == napi_ok && *out > 0) return true;
  napi_throw_range_error(env, NULL, "a positive integer is wanted");
  return false;
}

/* Copies a string that fits with its NUL; `length` is its full length either way. False: an exception is pending. */
static bool text(napi_env env, napi_value value, char *out, size_t size, size_t *length) {
  if (napi_get_value_string_utf8(env, value, NULL, 0, length) != napi_ok) {
    napi_throw_type_error(env, NULL, "a string is wanted");
    return false;
  }
  if (*length < size) napi_get_value_string_utf8(env, value, out, size, NULL);
  return true;
}

bool descriptor(napi_env env, napi_callback_info info, int *fd) {
  napi_value argument;
  arguments(env, info, &argument, 1);
  if (napi_get_value_int32(env, argument, fd) == napi_ok && *fd >= 0) return true;
  napi_throw_range_error(env, NULL, "a descriptor is wanted");
  return false;
}

bool find_symbol(const char *name, void *target) {
  void *symbol = dlsym(RTLD_DEFAULT, name);
  memcpy(target, &symbol, sizeof symbol); /* ISO C has no cast from an object to a function; POSIX allows the copy */
  return symbol != NULL;
}

napi_value string(napi_env env, const char *text) {
  napi_value result;
  napi_create_string_utf8(env, text, NAPI_AUTO_LENGTH, &result);
  return result;
}

napi_value missing(napi_env env, const char *name) {
  char text[256];
  snprintf(text, sizeof text, "this Node.js has no %s", name);
  return string(env, text);
}

static napi_value throw_errno(napi_env env, const char *call) {
  napi_throw_error(env, call, strerror(errno));
  return NULL;
}

static napi_value integer(napi_env env, int32_t value) {
  napi_value result;
  napi_create_int32(env, value, &result);
  return result;
}

static napi_value null(napi_env env) {
  napi_value result;
  napi_get_null(env, &result);
  return result;
}

/* waitpid(2) of one pid that libuv does not know: waitpid(-1) would steal the exits of libuv's own children. */
static napi_value reap_orphan(napi_env env, napi_callback_info info) {
  napi_value argument, result;
  int32_t pid;
  int status;
  arguments(env, info, &argument, 1);
  if (!positive(env, argument, &pid)) return NULL;
  if (waitpid(pid, &status, WNOHANG) != pid) return NULL;
  napi_create_object(env, &result);
  napi_set_named_property(env, result, "pid", integer(env, pid));
  napi_set_named_property(env, result, "code", WIFEXITED(status) ? integer(env, WEXITSTATUS(status)) : null(env));
  napi_set_named_property(env, result, "signal", WIFSIGNALED(status) ? integer(env, WTERMSIG(status)) : null(env));
  return result;
}

static napi_value set_child_subreaper(napi_env env, napi_callback_info info) {
  (void)info;
  return prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0 ? NULL : throw_errno(env, "PR_SET_CHILD_SUBREAPER");
}

static napi_value is_child_subreaper(napi_env env, napi_callback_info info) {
  int on = 0;
  napi_value result;
  (void)info;
  prctl(PR_GET_CHILD_SUBREAPER, &on, 0, 0, 0);
  napi_get_boolean(env, on != 0, &result);
  return result;
}

/* Mostly untouched pages; libc's static TLS must fit too. */
#define STACK_BYTES (256 * 1024)

bool start_thread(void *(*run)(void *)) {
  pthread_t thread;
  pthread_attr_t attributes;
  sigset_t all, before;
  sigfillset(&all);
  pthread_attr_init(&attributes);
  pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  pthread_attr_setstacksize(&attributes, STACK_BYTES);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  errno = pthread_create(&thread, &attributes, run, NULL);
  pthread_sigmask(SIG_SETMASK, &before, NULL);
  pthread_attr_destroy(&attributes);
  return errno == 0;
}

/* PR_SET_PDEATHSIG belongs to a thread, so a second thread can ask for a second signal. */
static void *wake_when_parent_died(void *unused) {
  (void)unused;
  prctl(PR_SET_PDEATHSIG, SIGCONT, 0, 0, 0);
  for (;;) pause();
  return NULL;
}

static void mask_sigttou(int how) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTTOU);
  pthread_sigmask(how, &set, NULL);
}

static void *take_sigttou(void *unused) {
  (void)unused;
  mask_sigttou(SIG_UNBLOCK);
  for (;;) pause();
  return NULL;
}

/* A writer that blocks SIGTTOU may write (tty_ioctl(4), TOSTOP). With a handler the write would be repeated for ever. */
static napi_value write_from_background(napi_env env, napi_callback_info info) {
  (void)info;
  if (!start_thread(take_sigttou)) return throw_errno(env, "pthread_create");
  mask_sigttou(SIG_BLOCK);
  return NULL;
}

static napi_value exit_now(napi_env env, napi_callback_info info) {
  napi_value argument;
  int32_t status;
  arguments(env, info, &argument, 1);
  if (napi_get_value_int32(env, argument, &status) == napi_ok) _exit(status);
  napi_throw_type_error(env, NULL, "an integer is wanted");
  return NULL;
}

static volatile sig_atomic_t grace_seconds;

/* alarm(2) is async-signal-safe (signal-safety(7)). */
static void parent_died(int signal) {
  (void)signal;
  alarm((unsigned)grace_seconds);
}

/*
 * The kernel sends the signal when the THREAD that spawned this process ends, not when its process does. Node.js spawns
 * in its main thread, which lives as long as the process.
 */
static napi_value die_with_parent(napi_env env, napi_callback_info info) {
  napi_value argument[2];
  int32_t parent, seconds;
  arguments(env, info, argument, 2);
  if (!positive(env, argument[0], &parent) || !positive(env, argument[1], &seconds)) return NULL;
  grace_seconds = seconds;

  /* A healthy worker has drained when the alarm comes; one stuck in JavaScript ends here. */
  struct sigaction action = {.sa_handler = SIG_DFL};
  sigemptyset(&action.sa_mask);
  if (sigaction(SIGALRM, &action, NULL) != 0) return throw_errno(env, "sigaction(SIGALRM)");
  /* Real-time: Node.js gives JavaScript no handle on it, so no app uses it. */
  action.sa_handler = parent_died;
  action.sa_flags = SA_RESTART;
  if (sigaction(SIGRTMAX, &action, NULL) != 0) return throw_errno(env, "sigaction(SIGRTMAX)");
  if (prctl(PR_SET_PDEATHSIG, SIGRTMAX, 0, 0, 0) != 0) return throw_errno(env, "PR_SET_PDEATHSIG");
  /* SIGRTMAX waits while the process is stopped; SIGCONT resumes it. */
  if (!start_thread(wake_when_parent_died)) return throw_errno(env, "pthread_create");
  /* No signal comes for a parent that died before prctl(2). */
  if (getppid() != parent) alarm((unsigned)seconds);
  return NULL;
}

/* Returns 0 or the errno. A path that begins with @ is in the abstract namespace (unix(7)). */
static int send_datagram(const char *path, size_t path_length, const char *message, size_t length) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  if (path_length < 2 || (path[0] != '/' && path[0] != '@')) return EAFNOSUPPORT;
  memcpy(address.sun_path, path, path_length);
  if (path[0] == '@') address.sun_path[0] = '\0';

  int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return errno;
  struct timeval wait = {.tv_usec = NOTIFY_WAIT_USEC};
  setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof wait);
  socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + path_length);
  int failure = sendto(fd, message, length, MSG_NOSIGNAL, (struct sockaddr *)&address, size) < 0 ? errno : 0;
  close(fd);
  return failure;
}

static napi_value notify(napi_env env, napi_callback_info info) {
  napi_value argument[2];
  char path[sizeof((struct sockaddr_un *)0)->sun_path], message[NOTIFY_MAX];
  size_t path_length, length;
  arguments(env, info, argument, 2);
  if (!text(env, argument[0], path, sizeof path, &path_length)) return NULL;
  if (!text(env, argument[1], message, sizeof message, &length)) return NULL;
  if (path_length >= sizeof path) return integer(env, ENAMETOOLONG);
  if (length >= sizeof message) return integer(env, EMSGSIZE);
  return integer(env, send_datagram(path, path_length, message, length));
}

/* sock_diag(7): one question about one socket, one answer. False: no such socket, or the kernel lacks it. */
static bool unix_accept_queue_of(uint32_t inode, uint32_t *length) {
#ifdef UDIAG_SHOW_RQLEN
  struct {
    struct nlmsghdr head;
    struct unix_diag_req request;
  } question = {
      .head = {.nlmsg_len = sizeof question, .nlmsg_type = SOCK_DIAG_BY_FAMILY, .nlmsg_flags = NLM_F_REQUEST},
      .request = {.sdiag_family = AF_UNIX,
                  .udiag_states = ~0u,
                  .udiag_ino = inode,
                  .udiag_show = UDIAG_SHOW_RQLEN,
                  .udiag_cookie = {~0u, ~0u}},
  };
  union {
    struct nlmsghdr head;
    char bytes[1024];
  } answer;
  int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
  if (fd < 0) return false;
  /* The kernel answers before send() returns. */
  ssize_t size = send(fd, &question, sizeof question, 0) < 0 ? -1 : recv(fd, &answer, sizeof answer, MSG_DONTWAIT);
  close(fd);
  if (size < 0 || !NLMSG_OK(&answer.head, (size_t)size)) return false;
  if (answer.head.nlmsg_type != SOCK_DIAG_BY_FAMILY) return false;

  const struct unix_diag_msg *socket_of = NLMSG_DATA(&answer.head);
  const struct rtattr *at = (const struct rtattr *)(socket_of + 1);
  long left = (long)NLMSG_PAYLOAD(&answer.head, sizeof *socket_of);
  for (; RTA_OK(at, left); at = RTA_NEXT(at, left)) {
    if (at->rta_type != UNIX_DIAG_RQLEN || RTA_PAYLOAD(at) < sizeof(struct unix_diag_rqlen)) continue;
    *length = ((const struct unix_diag_rqlen *)RTA_DATA(at))->udiag_rqueue;
    return true;
  }
#else
  (void)inode, (void)length;
#endif
  return false;
}

static napi_value unix_accept_queue(napi_env env, napi_callback_info info) {
  napi_value argument, result;
  uint32_t inode, length;
  arguments(env, info, &argument, 1);
  if (napi_get_value_uint32(env, argument, &inode) != napi_ok || inode == 0) {
    napi_throw_range_error(env, NULL, "a positive integer is wanted");
    return NULL;
  }
  if (!unix_accept_queue_of(inode, &length)) return NULL;
  napi_create_uint32(env, length, &result);
  return result;
}

/* musl returns large blocks to the kernel when they are freed, and has no call for small ones. */
static napi_value trim_memory(napi_env env, napi_callback_info info) {
  (void)env, (void)info;
#ifdef __GLIBC__
  malloc_trim(0);
#endif
  return NULL;
}

/*
 * O_NONBLOCK would apply to every process that has the open file description; these flags apply to one call. RWF_NOWAIT
 * works on pipes of pipe(2) since Linux 6.4. Older kernels, FIFOs with a name and terminals answer EOPNOTSUPP.
 */
static ssize_t write_without_waiting(int fd, const void *bytes, size_t length) {
  ssize_t taken = send(fd, bytes, length, MSG_DONTWAIT | MSG_NOSIGNAL);
  if (taken >= 0 || errno != ENOTSOCK) return taken;
  struct iovec part = {.iov_base = (void *)bytes, .iov_len = length};
  return syscall(SYS_pwritev2, fd, &part, 1L, -1L, -1L, RWF_NOWAIT); /* -1: the file's own position */
}

static napi_value write_now(napi_env env, napi_callback_info info) {
  napi_value argument[2], result;
  int32_t fd;
  void *bytes;
  size_t length;
  arguments(env, info, argument, 2);
  if (napi_get_value_int32(env, argument[0], &fd) != napi_ok || fd < 0 ||
      napi_get_buffer_info(env, argument[1], &bytes, &length) != napi_ok) {
    napi_throw_type_error(env, NULL, "a descriptor and bytes are wanted");
    return NULL;
  }
  ssize_t taken = write_without_waiting(fd, bytes, length);
  if (taken < 0 && (errno == EOPNOTSUPP || errno == ENOSYS)) return NULL;
  if (taken < 0 && errno != EAGAIN && errno != EINTR) return throw_errno(env, "write");
  napi_create_int64(env, taken < 0 ? 0 : taken, &result);
  return result;
}

NAPI_MODULE_INIT() {
  const napi_property_descriptor functions[] = {
      {"reapOrphan", NULL, reap_orphan, NULL, NULL, NULL, napi_enumerable, NULL},
      {"setChildSubreaper", NULL, set_child_subreaper, NULL, NULL, NULL, napi_enumerable, NULL},
      {"isChildSubreaper", NULL, is_child_subreaper, NULL, NULL, NULL, napi_enumerable, NULL},
      {"dieWithParent", NULL, die_with_parent, NULL, NULL, NULL, napi_enumerable, NULL},
      {"exitNow", NULL, exit_now, NULL, NULL, NULL, napi_enumerable, NULL},
      {"writeFromBackground", NULL, write_from_background, NULL, NULL, NULL, napi_enumerable, NULL},
      {"unixAcceptQueue", NULL, unix_accept_queue, NULL, NULL, NULL, napi_enumerable, NULL},
      {"trimMemory", NULL, trim_memory, NULL, NULL, NULL, napi_enumerable, NULL},
      {"writeNow", NULL, write_now, NULL, NULL, NULL, napi_enumerable, NULL},
      {"listenWithoutAccepting", NULL, listen_without_accepting, NULL, NULL, NULL, napi_enumerable, NULL},
      {"attachReusePortFilter", NULL, attach_reuse_port_filter, NULL, NULL, NULL, napi_enumerable, NULL},
      {"notify", NULL, notify, NULL, NULL, NULL, napi_enumerable, NULL},
      {"reportOutOfMemory", NULL, report_out_of_memory, NULL, NULL, NULL, napi_enumerable, NULL},
      {"reportStacks", NULL, report_stacks, NULL, NULL, NULL, napi_enumerable, NULL},
      {"stackSignal", NULL, NULL, NULL, NULL, integer(env, STACK_SIGNAL), napi_enumerable, NULL},
  };
  napi_define_properties(env, exports, sizeof functions / sizeof *functions, functions);
  return exports;
}
