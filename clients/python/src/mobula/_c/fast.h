/* The inner loops of the Python client in C. `mobula._pure` is the same in Python, and says what each thing promises; `mobula._hot`
 * chooses. Everything rare is left to methods that the classes above `Core` and `Pipe` have in Python, so each rule is written once.
 *
 * The module keeps to the limited API of CPython 3.11: one build serves that and every later version. It has static state, so an
 * interpreter with a GIL of its own cannot import it, and takes `mobula._pure`; one that shares the main one's shares the types too.
 *
 * Signals are looked at by the interpreter only: what runs without calling Python is whole or has not begun, and no other thread runs
 * meanwhile, so that a lock which is found free need not be taken. Wherever Python may run, which is also where an object that is not
 * plain is made or freed, references are owned and sizes are read anew.
 *
 * Functions return -1 or NULL when they have raised.
 */
#define _GNU_SOURCE
#define Py_LIMITED_API 0x030B0000
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <structmember.h>

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* Of docs/protocol.md, mobula._wire and mobula._pure: the tests hold the two implementations against each other. */
enum { HEADER_SIZE = 8, FRAME_MAX = 1 << 20, KIND_SUBMIT = 10, KIND_RELEASE = 13, KIND_RESULT = 18, KIND_DONE = 49, TASK_ID = 16, OBJECT_ID = 20, FORMAT_ERROR = 3, VARINT_MAX = 10 };

extern PyTypeObject *ref_type, *core_type, *pipe_type;
extern PyType_Spec ref_spec, core_spec, pipe_spec;
extern PyMethodDef ref_functions[];

/* Names of what is called in Python: s_flush is the text "flush". */
#define NAMES(X) \
    X(acquire) X(release) X(locked) X(tell) X(hold) X(_flush) X(_arm) X(_append_releases) X(_handle) X(_fire) X(_consume) X(_fail) X(_pass_on) \
    X(_on_silence) X(_read) X(_after_dispatch)
#define DECLARE_NAME(name) extern PyObject *s_##name;
NAMES(DECLARE_NAME)

/* What a type with many objects inside needs for each. */
#define MEMBER(type, name, field) {name, T_OBJECT_EX, offsetof(type, field), 0, NULL},
#define VISIT(type, name, field) Py_VISIT(((type *)op)->field);
#define CLEAR(type, name, field) Py_CLEAR(((type *)op)->field);

/* What a connection writes and reads. */
typedef struct {
    PyObject_HEAD
    PyObject *out;        /* list of frames that wait to be written; guarded by lock */
    PyObject *lock;       /* the session's */
    PyObject *write_lock; /* held by whoever writes */
    PyObject *tail;       /* bytes that were taken from out and not written yet, or None */
    PyObject *sent;       /* list with the number that a send returned, until it is taken note of */
    PyObject *files_out;  /* list of descriptors that go beside frames */
    PyObject *got;        /* list with what a receive returned, until it is taken note of */
    PyObject *buffer;     /* bytearray into which is read */
    PyObject *data;       /* bytes that were read, handled up to at */
    long long at, out_bytes;
    int fd;
} Pipe;

#define PIPE_OBJECTS(X) \
    X(Pipe, "out", out) X(Pipe, "_lock", lock) X(Pipe, "_write_lock", write_lock) X(Pipe, "_tail", tail) X(Pipe, "_sent", sent) \
    X(Pipe, "_files_out", files_out) X(Pipe, "_got", got) X(Pipe, "_buffer", buffer) X(Pipe, "data", data)

/* The state of a session that its inner loops use. */
typedef struct {
    PyObject_HEAD
    PyObject *root;      /* the first 8 bytes of the ids that this session makes */
    PyObject *lock;      /* guards what follows down to callbacks */
    PyObject *conn;      /* a Pipe */
    PyObject *ended;     /* None while the session is open */
    PyObject *values;    /* dict: object id -> encoded value, or what stands for it */
    PyObject *asked;     /* dict: object ids that the node was asked about */
    PyObject *extra;     /* dict: object ids with more than one hold of this process */
    PyObject *pending;   /* dict: sequence -> id of the object that is its result, or something rarer */
    PyObject *parked;    /* dict: object id -> list of waiters */
    PyObject *callbacks; /* dict: object id -> list of functions */
    PyObject *leader;    /* who reads, or None */
    PyObject *inbox;     /* deque of tasks, in a worker */
    PyObject *released;  /* list of ids, appended to by finalisers */
    PyObject *dropped;   /* deque of what else finalisers leave */
    PyObject *unpinned;  /* likewise */
    PyObject *unseen;    /* dict: ids of objects that are errors nobody has been told of */
    long long sequence, used_bytes, used_count, credit_bytes, credit_count;
    long long ids; /* task ids that were made */
    long long burst;
    double last; /* when a frame was appended, of perf_counter's clock */
    char armed;  /* whether the flusher was told */
    char news;   /* whether _after_dispatch has something to do */
} Core;

#define CORE_OBJECTS(X) \
    X(Core, "_root", root) X(Core, "_lock", lock) X(Core, "_conn", conn) X(Core, "_ended", ended) X(Core, "_values", values) X(Core, "_asked", asked) \
    X(Core, "_extra", extra) X(Core, "_pending", pending) X(Core, "_parked", parked) X(Core, "_callbacks", callbacks) X(Core, "_leader", leader) \
    X(Core, "_inbox", inbox) X(Core, "_released", released) X(Core, "_closed_streams", dropped) X(Core, "_unpinned", unpinned) \
    X(Core, "_unseen", unseen)

static inline Pipe *pipe_of(Core *self)
{
    return (Pipe *)self->conn;
}

static inline bool is_list(PyObject *object)
{
    return object != NULL && PyList_Check(object);
}

static inline bool is_dict(PyObject *object)
{
    return object != NULL && PyDict_Check(object);
}

/* module.c: calls a method of no arguments for its effect. */
int call(PyObject *object, PyObject *method);
/* Releases a lock whatever has been raised, which stays raised; returns status, or -1. */
int unlock(PyObject *lock, int status);
/* Raises a ProtocolError; the format may have one %lld. */
void protocol_error(const char *format, long long n);
/* Returns mobula._wire.ProtocolError. */
PyObject *protocol_error_class(void);
/* Frees an object with clear. */
void dealloc(PyObject *op, inquiry clear);

/* pipe.c: whether __init__ has set everything. */
bool is_open(Pipe *pipe);
/* Writes what waits, if nobody else writes, no descriptors go with it, and the socket takes it at once: 1 then; 0 leaves the rest to
 * Conn.flush, as errors of the socket, which come again there. */
int send_now(Pipe *pipe);
/* Reads once, waiting for as long as it takes unless flags say otherwise: 1 when bytes came, 0 when none came in time, 2 when Conn.receive
 * has to look at what came. */
int receive(Pipe *pipe, int flags);
/* The flags of a read that waits. */
extern const int receive_flags;

/* session.c: whether __init__ has set everything. */
bool is_whole(Core *self);
/* Writes what is pending, with what was released. */
int flush(Core *self);
/* Writes the header of a frame, or a varint, and returns what is behind it. */
unsigned char *put_header(unsigned char *p, Py_ssize_t size, int kind);
unsigned char *put_varint(unsigned char *p, uint64_t n);
PyObject *done_frame(PyObject *module, PyObject *args);

/* results.c: methods of Core. */
PyObject *core_dispatch(PyObject *op, PyObject *none);
PyObject *core_lead_for(PyObject *op, PyObject *oid);
PyObject *core_lead_for_work(PyObject *op, PyObject *none);
