/* Calls and holds of a session: the base of mobula._session.link.Link. */
#include "fast.h"

#include <time.h>

/* Of mobula._pure, which says why. */
enum { BURST_FREE = 2, BURST_EVERY = 32, OUT_MAX = 65536, RELEASES = 64 };
static const double BURST_SECONDS = 300e-6;

unsigned char *put_varint(unsigned char *p, uint64_t n)
{
    while (n > 127) {
        *p++ = (unsigned char)(n | 128);
        n >>= 7;
    }
    *p++ = (unsigned char)n;
    return p;
}

static void put_u64(unsigned char *to, uint64_t n)
{
    for (int i = 7; i >= 0; i--, n >>= 8)
        to[i] = (unsigned char)n;
}

static PyMemberDef core_members[] = {
    CORE_OBJECTS(MEMBER)
    {"_sequence", T_LONGLONG, offsetof(Core, sequence), 0, NULL},
    {"_used_bytes", T_LONGLONG, offsetof(Core, used_bytes), 0, NULL},
    {"_used_count", T_LONGLONG, offsetof(Core, used_count), 0, NULL},
    {"_credit_bytes", T_LONGLONG, offsetof(Core, credit_bytes), 0, NULL},
    {"_credit_count", T_LONGLONG, offsetof(Core, credit_count), 0, NULL},
    {"_burst", T_LONGLONG, offsetof(Core, burst), 0, NULL},
    {"_last", T_DOUBLE, offsetof(Core, last), 0, NULL},
    {"_armed", T_BOOL, offsetof(Core, armed), 0, NULL},
    {NULL, 0, 0, 0, NULL},
};

static int core_traverse(PyObject *op, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(op));
    CORE_OBJECTS(VISIT)
    return 0;
}

static int core_clear(PyObject *op)
{
    CORE_OBJECTS(CLEAR)
    return 0;
}

static void core_dealloc(PyObject *op)
{
    dealloc(op, core_clear);
}

bool is_whole(Core *self)
{
    if (self->root != NULL && PyBytes_Check(self->root) && PyBytes_Size(self->root) == TASK_ID - 8 && self->lock != NULL && self->conn != NULL &&
        PyObject_TypeCheck(self->conn, pipe_type) && self->ended != NULL && is_dict(self->values) && is_dict(self->asked) && is_dict(self->extra) &&
        is_dict(self->pending) && is_dict(self->parked) && is_dict(self->callbacks) && self->leader != NULL && self->inbox != NULL && is_list(self->released) &&
        self->dropped != NULL && self->unpinned != NULL && is_dict(self->unseen))
        return is_open((Pipe *)self->conn);
    PyErr_SetString(PyExc_RuntimeError, "the session is not open");
    return false;
}

static void next_id(Core *self, unsigned char *id)
{
    memcpy(id, PyBytes_AsString(self->root), TASK_ID - 8);
    put_u64(id + TASK_ID - 8, (uint64_t)++self->ids);
}

static PyObject *core_new_id(PyObject *op, PyObject *Py_UNUSED(none))
{
    unsigned char id[TASK_ID];
    if (!is_whole((Core *)op))
        return NULL;
    next_id((Core *)op, id);
    return PyBytes_FromStringAndSize((char *)id, TASK_ID);
}

/* Appends a whole frame to what goes out. Needs the lock. */
static int append_frame(Core *self, PyObject *data)
{
    pipe_of(self)->out_bytes += PyBytes_Size(data);
    return PyList_Append(pipe_of(self)->out, data);
}

unsigned char *put_header(unsigned char *p, Py_ssize_t size, int kind)
{
    for (int i = 0; i < 4; i++)
        *p++ = (unsigned char)(size >> 8 * i);
    *p++ = (unsigned char)kind;
    memset(p, 0, 3);
    return p + 3;
}

/* submit_plain with the lock: enters the call of the id and appends its frame. */
static int enter_call(Core *self, PyObject *oid, PyObject *fields)
{
    unsigned char number[VARINT_MAX];
    Py_ssize_t length = PyBytes_Size(fields), digits = put_varint(number, (uint64_t)self->sequence + 1) - number, size = length + digits + TASK_ID + 3;
    if (self->used_bytes + size > self->credit_bytes || self->used_count >= self->credit_count || self->ended != Py_None) {
        PyObject *none = PyObject_CallMethod((PyObject *)self, "_await_credit", "ni", size + VARINT_MAX - 1, 0);
        Py_XDECREF(none);
        if (none == NULL)
            return -1;
        digits = put_varint(number, (uint64_t)self->sequence + 1) - number; /* others have submitted meanwhile */
        size = length + digits + TASK_ID + 3;
    }
    PyObject *data = PyBytes_FromStringAndSize(NULL, HEADER_SIZE + size), *key = PyLong_FromLongLong(self->sequence + 1);
    int status = -1;
    if (data == NULL || key == NULL)
        goto end;
    unsigned char *p = put_header((unsigned char *)PyBytes_AsString(data), size, KIND_SUBMIT);
    *p++ = 8;
    memcpy(p, number, (size_t)digits);
    memcpy(p += digits, "\x12\x10", 2);
    memcpy(p += 2, PyBytes_AsString(oid), TASK_ID);
    memcpy(p += TASK_ID, PyBytes_AsString(fields), (size_t)length);
    if (PyDict_SetItem(self->values, oid, Py_None) < 0 || PyDict_SetItem(self->pending, key, oid) < 0)
        goto end;
    self->sequence++;
    self->used_bytes += size;
    self->used_count++;
    status = append_frame(self, data);
    if (status == 0 && PyList_Size(self->released) >= RELEASES)
        status = call((PyObject *)self, s__append_releases);
end:
    Py_XDECREF(data);
    Py_XDECREF(key);
    return status;
}

/* Takes what was released out of values. Needs the lock. */
static PyObject *drop_released(Core *self)
{
    PyObject *gone = PyList_New(0);
    Py_ssize_t count = PyList_Size(self->released);
    for (Py_ssize_t i = 0; gone != NULL && i < count; i++) {
        PyObject *oid = PyList_GetItem(self->released, i);
        int held = PyDict_Contains(self->values, oid);
        if (held < 0 || (held > 0 && (PyList_Append(gone, oid) < 0 || PyDict_DelItem(self->values, oid) < 0)))
            Py_CLEAR(gone);
    }
    if (gone != NULL && PyList_SetSlice(self->released, 0, count, NULL) < 0)
        Py_CLEAR(gone);
    return gone;
}

/* Appends the frame that releases one object. Needs the lock. */
static int append_release(Core *self, PyObject *oid)
{
    PyObject *data = PyBytes_FromStringAndSize(NULL, HEADER_SIZE + 2 + OBJECT_ID);
    if (data == NULL)
        return -1;
    unsigned char *p = put_header((unsigned char *)PyBytes_AsString(data), 2 + OBJECT_ID, KIND_RELEASE);
    memcpy(p, "\x0a\x14", 2);
    memcpy(p + 2, PyBytes_AsString(oid), OBJECT_ID);
    int status = append_frame(self, data);
    Py_DECREF(data);
    return status;
}

/* Has the node told of what was released: one ref, as after a call at a time, here; more, and what is rare, in Python. Needs the lock. */
static int append_releases(Core *self)
{
    if (self->ended != Py_None || PyDict_Size(self->extra) || PyList_Size(self->released) != 1 || PyObject_Size(self->dropped) ||
        PyObject_Size(self->unpinned) || PyDict_Size(self->unseen))
        return call((PyObject *)self, s__append_releases);
    PyObject *gone = drop_released(self);
    if (gone == NULL)
        return -1;
    PyObject *oid = PyList_Size(gone) == 1 ? PyList_GetItem(gone, 0) : NULL;
    int status = oid != NULL && PyBytes_Check(oid) && PyBytes_Size(oid) == OBJECT_ID ? append_release(self, oid) : 0;
    Py_DECREF(gone);
    return status;
}

int flush(Core *self)
{
    Py_ssize_t more = PyList_Size(self->released) + PyObject_Size(self->dropped) + PyObject_Size(self->unpinned);
    if (more > 0) {
        PyObject *lock = self->lock;
        Py_INCREF(lock);
        int status = call(lock, s_acquire);
        if (status == 0)
            status = unlock(lock, append_releases(self));
        Py_DECREF(lock);
        if (status < 0)
            return -1;
    }
    int sent = PyErr_Occurred() ? -1 : send_now(pipe_of(self));
    return sent == 0 ? call((PyObject *)self, s__flush) : sent < 0 ? -1 : 0;
}

static PyObject *core_flush(PyObject *op, PyObject *Py_UNUSED(none))
{
    if (!is_whole((Core *)op) || flush((Core *)op) < 0)
        return NULL;
    Py_RETURN_NONE;
}

/* Writes what is pending, or leaves it to others in a burst. */
static int kick(Core *self)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    double now = (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
    self->burst = now - self->last > BURST_SECONDS ? 1 : self->burst + 1;
    self->last = now;
    if (self->burst <= BURST_FREE)
        return flush(self);
    if (self->burst % BURST_EVERY == 0 || pipe_of(self)->out_bytes > OUT_MAX)
        return call((PyObject *)self, s__flush);
    return self->armed ? 0 : call((PyObject *)self, s__arm);
}

static PyObject *core_kick(PyObject *op, PyObject *Py_UNUSED(none))
{
    if (!is_whole((Core *)op) || kick((Core *)op) < 0)
        return NULL;
    Py_RETURN_NONE;
}

static PyObject *core_submit_plain(PyObject *op, PyObject *fields)
{
    Core *self = (Core *)op;
    unsigned char id[OBJECT_ID] = {0};
    if (!is_whole(self))
        return NULL;
    if (!PyBytes_Check(fields) || PyBytes_Size(fields) > FRAME_MAX / 2) {
        PyErr_SetString(PyExc_ValueError, "the fields of a call are bytes, and fit a frame");
        return NULL;
    }
    next_id(self, id);
    PyObject *oid = PyBytes_FromStringAndSize((char *)id, OBJECT_ID), *lock = self->lock;
    if (oid == NULL)
        return NULL;
    Py_INCREF(lock);
    int status = call(lock, s_acquire);
    if (status == 0)
        status = unlock(lock, enter_call(self, oid, fields));
    Py_DECREF(lock);
    if (status < 0 || kick(self) < 0)
        Py_CLEAR(oid);
    return oid;
}

/* Enters ids that are not in values yet: 1; 0, and nothing is changed, when one is there already or twice among them; -1 when it raises. */
static int enter_all(PyObject *values, PyObject *ids, PyObject *state)
{
    Py_ssize_t count = PyList_Size(ids), i;
    int known = 0;
    for (i = 0; known == 0 && i < count; i++) {
        PyObject *id = PyList_GetItem(ids, i);
        known = PyDict_Contains(values, id);
        if (known == 0 && PyDict_SetItem(values, id, state) < 0)
            known = -1;
    }
    if (known <= 0)
        return known < 0 ? -1 : 1;
    for (i -= 2; i >= 0; i--)
        if (PyDict_DelItem(values, PyList_GetItem(ids, i)) < 0)
            return -1;
    return 0;
}

static PyObject *core_hold_new(PyObject *op, PyObject *args)
{
    Core *self = (Core *)op;
    PyObject *ids, *state, *frames;
    if (!is_whole(self) || !PyArg_ParseTuple(args, "O!OO!:_hold_new", &PyList_Type, &ids, &state, &PyList_Type, &frames))
        return NULL;
    int entered = enter_all(self->values, ids, state);
    for (Py_ssize_t i = 0; entered > 0 && i < PyList_Size(frames); i++)
        if (append_frame(self, PyList_GetItem(frames, i)) < 0)
            entered = -1;
    return entered < 0 ? NULL : PyBool_FromLong(entered);
}

static PyObject *core_drop_released(PyObject *op, PyObject *Py_UNUSED(none))
{
    return is_whole((Core *)op) ? drop_released((Core *)op) : NULL;
}

static PyMethodDef core_methods[] = {
    {"new_id", core_new_id, METH_NOARGS, PyDoc_STR("Returns a fresh task id of 16 bytes.")},
    {"submit_plain", core_submit_plain, METH_O, PyDoc_STR("Submits a call that has one result and nothing rare, and returns the id of its object.")},
    {"flush", core_flush, METH_NOARGS, PyDoc_STR("Writes what is pending, with what was released.")},
    {"_lead_for", core_lead_for, METH_O, PyDoc_STR("Reads until the outcome of a call is here, if nobody else reads.")},
    {"_lead_for_work", core_lead_for_work, METH_NOARGS, PyDoc_STR("Reads until there is work, if nobody else reads.")},
    {"_kick", core_kick, METH_NOARGS, PyDoc_STR("Writes what is pending, or leaves it to others in a burst.")},
    {"_dispatch", core_dispatch, METH_NOARGS, PyDoc_STR("Handles all whole frames that were received. Needs the lock and the lead.")},
    {"_hold_new", core_hold_new, METH_VARARGS, PyDoc_STR("Enters ids that are all new and appends frames; False when some are not new. Needs the lock.")},
    {"_drop_released", core_drop_released, METH_NOARGS, PyDoc_STR("Takes what was released out of values and returns it. Needs the lock.")},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot core_slots[] = {
    {Py_tp_doc, (void *)PyDoc_STR("What the inner loops of a session use.")},
    {Py_tp_members, core_members},
    {Py_tp_methods, core_methods},
    {Py_tp_traverse, (void *)core_traverse},
    {Py_tp_clear, (void *)core_clear},
    {Py_tp_dealloc, (void *)core_dealloc},
    {0, NULL},
};
PyType_Spec core_spec = {"mobula._fast.Core", sizeof(Core), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC, core_slots};
