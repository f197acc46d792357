/* Results of a session, and the thread that waits for one. */
#include "fast.h"

/* Reads a varint of up to 64 bits from [*at, stop) and moves *at behind it; false when it is cut off or longer. */
static bool get_varint(const unsigned char *data, Py_ssize_t *at, Py_ssize_t stop, uint64_t *n)
{
    *n = 0;
    for (int shift = 0; shift < 64 && *at < stop; shift += 7) {
        uint64_t b = data[(*at)++];
        if (shift == 63 && b > 1)
            return false;
        *n |= (b & 127) << shift;
        if (b < 128)
            return true;
    }
    return false;
}

static uint32_t le32(const unsigned char *p)
{
    return (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

static unsigned le16(const unsigned char *p)
{
    return (unsigned)p[0] | (unsigned)p[1] << 8;
}

/* Tells those who wait for an object, and has its callbacks called later. */
static int announce(Core *self, PyObject *oid)
{
    PyObject *waiters = PyDict_Size(self->parked) > 0 ? PyDict_GetItemWithError(self->parked, oid) : NULL;
    if (waiters != NULL) {
        int status = 0;
        Py_INCREF(waiters);
        status = PyDict_DelItem(self->parked, oid);
        for (Py_ssize_t i = 0; status == 0 && i < PyList_Size(waiters); i++) {
            PyObject *waiter = PyList_GetItem(waiters, i);
            Py_INCREF(waiter);
            status = call(waiter, s_tell);
            Py_DECREF(waiter);
        }
        Py_DECREF(waiters);
        if (status < 0)
            return -1;
    }
    int watched = PyDict_Size(self->callbacks) > 0 ? PyDict_Contains(self->callbacks, oid) : 0;
    if (watched > 0) {
        self->news = 1;
        PyObject *none = PyObject_CallMethodObjArgs((PyObject *)self, s__fire, oid, NULL);
        Py_XDECREF(none);
        watched = none == NULL ? -1 : 0;
    }
    return watched < 0 || PyErr_Occurred() ? -1 : 0;
}

/* Gives the object of a pending call its value, unless nobody has a ref of it any more. */
static int settle(Core *self, PyObject *key, PyObject *oid, const unsigned char *data, Py_ssize_t size)
{
    int held = PyDict_Contains(self->values, oid);
    if (held > 0) {
        PyObject *value = PyBytes_FromStringAndSize((const char *)data, size);
        held = value == NULL ? -1 : PyDict_SetItem(self->values, oid, value);
        Py_XDECREF(value);
        if (held == 0)
            held = announce(self, oid);
    }
    return held < 0 ? -1 : PyDict_DelItem(self->pending, key);
}

/* Reports whether an encoded value begins as an error does: with its format. */
static bool is_error(const unsigned char *data, uint64_t size)
{
    return size > 1 && data[0] == 8 && data[1] == FORMAT_ERROR;
}

/* Handles the Result in [at, stop) if it is the plain one of a call: the fields sequence and value, in that order, and no error. 0 when it
 * is not, -1 when something was raised; otherwise *consumed counts the value. */
static int plain_result(Core *self, const unsigned char *data, Py_ssize_t at, Py_ssize_t stop, long long *consumed)
{
    uint64_t sequence, length;
    if (at == stop || data[at++] != 8 || !get_varint(data, &at, stop, &sequence) || at == stop || data[at++] != 34 ||
        !get_varint(data, &at, stop, &length))
        return 0;
    PyObject *key = PyLong_FromUnsignedLongLong(sequence);
    PyObject *oid = key == NULL ? NULL : PyDict_GetItemWithError(self->pending, key);
    int status = PyErr_Occurred() ? -1 : 0;
    if (oid != NULL && PyBytes_CheckExact(oid)) {
        Py_INCREF(oid);
        if (length != (uint64_t)(stop - at)) {
            protocol_error("a result has something after its value", 0);
            status = -1;
        } else if (!is_error(data + at, length)) {
            *consumed += stop - at;
            status = settle(self, key, oid, data + at, stop - at) < 0 ? -1 : 1;
        }
        Py_DECREF(oid);
    }
    Py_XDECREF(key);
    return status;
}

/* Gives any frame to Python's handlers. */
static int handle(Core *self, unsigned kind, const unsigned char *payload, Py_ssize_t size)
{
    self->news = 1;
    PyObject *none = NULL, *number = PyLong_FromLong((long)kind), *bytes = PyBytes_FromStringAndSize((const char *)payload, size);
    if (number != NULL && bytes != NULL)
        none = PyObject_CallMethodObjArgs((PyObject *)self, s__handle, number, bytes, NULL);
    Py_XDECREF(none);
    Py_XDECREF(bytes);
    Py_XDECREF(number);
    return none == NULL ? -1 : 0;
}

/* Handles the whole frames of data from *at on, and moves *at behind each that was handled. */
static int dispatch(Core *self, const unsigned char *data, Py_ssize_t end, Py_ssize_t *at, long long *consumed)
{
    while (end - *at >= HEADER_SIZE) {
        uint32_t size = le32(data + *at);
        unsigned kind = le16(data + *at + 4), zero = le16(data + *at + 6);
        Py_ssize_t start = *at + HEADER_SIZE;
        if (size > (uint64_t)(end - start)) {
            if (size <= FRAME_MAX)
                return 0;
            protocol_error("a frame of %lld bytes", size);
            return -1;
        }
        if (zero) {
            protocol_error("the reserved field of a header is not zero", 0);
            return -1;
        }
        int done = kind == KIND_RESULT ? plain_result(self, data, start, start + size, consumed) : 0;
        if (done < 0 || (done == 0 && handle(self, kind, data + start, size) < 0))
            return -1;
        *at = start + size;
    }
    return 0;
}

/* What dispatch leaves, whatever has been raised, which stays raised: the credit for what was consumed. */
static int consume(Core *self, long long consumed)
{
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    self->news = 1;
    PyObject *n = PyLong_FromLongLong(consumed), *none = n == NULL ? NULL : PyObject_CallMethodObjArgs((PyObject *)self, s__consume, n, NULL);
    Py_XDECREF(none);
    Py_XDECREF(n);
    if (type != NULL)
        PyErr_Restore(type, value, traceback);
    return type != NULL || none == NULL ? -1 : 0;
}

/* Handles all whole frames that were received. Needs the lock and the lead. */
static int dispatch_all(Core *self)
{
    Pipe *pipe = pipe_of(self);
    PyObject *data = pipe->data;
    Py_ssize_t at = (Py_ssize_t)pipe->at, end = PyBytes_Size(data);
    long long consumed = 0;
    if (at < 0 || at > end) {
        PyErr_SetString(PyExc_ValueError, "there are not so many bytes");
        return -1;
    }
    Py_INCREF((PyObject *)pipe);
    Py_INCREF(data);
    int status = dispatch(self, (unsigned char *)PyBytes_AsString(data), end, &at, &consumed);
    pipe->at = at;
    Py_DECREF(data);
    Py_DECREF((PyObject *)pipe);
    return consumed == 0 ? status : consume(self, consumed);
}

PyObject *core_dispatch(PyObject *op, PyObject *Py_UNUSED(none))
{
    if (!is_whole((Core *)op) || dispatch_all((Core *)op) < 0)
        return NULL;
    Py_RETURN_NONE;
}

/* Has the session end for an error of the connection, which is cleared; anything else stays raised. */
static int fail(Core *self)
{
    PyObject *type, *value, *traceback, *none = NULL;
    PyErr_Fetch(&type, &value, &traceback);
    PyErr_NormalizeException(&type, &value, &traceback);
    PyObject *broken = protocol_error_class();
    bool ours = broken != NULL && (PyErr_GivenExceptionMatches(type, PyExc_OSError) || PyErr_GivenExceptionMatches(type, PyExc_EOFError) ||
                                   PyErr_GivenExceptionMatches(type, broken));
    PyObject *text = ours ? PyObject_Str(value) : NULL;
    if (text != NULL)
        none = PyObject_CallMethodObjArgs((PyObject *)self, s__fail, text, NULL);
    if (text == NULL && broken != NULL && !ours) {
        PyErr_Restore(type, value, traceback);
        type = value = traceback = NULL;
    }
    Py_XDECREF(none);
    Py_XDECREF(text);
    Py_XDECREF(broken);
    Py_XDECREF(type);
    Py_XDECREF(value);
    Py_XDECREF(traceback);
    return none == NULL ? -1 : 0;
}

/* Reads once, waiting for as long as it takes, and handles what came. Only the leader calls it. */
static int read_once(Core *self)
{
    int came = PyList_Size(pipe_of(self)->got) ? 2 : receive(pipe_of(self), receive_flags);
    if (came == 2) { /* Conn.receive looks at it */
        PyObject *none = PyObject_CallMethodObjArgs((PyObject *)self, s__read, Py_None, NULL);
        Py_XDECREF(none);
        return none == NULL ? -1 : 0;
    }
    if (came == 0)
        return call((PyObject *)self, s__on_silence);
    PyObject *lock = self->lock;
    Py_INCREF(lock);
    int status = came < 0 ? -1 : call(lock, s_acquire);
    if (status == 0)
        status = unlock(lock, dispatch_all(self));
    Py_DECREF(lock);
    if (status < 0)
        return fail(self);
    if (!self->news)
        return 0;
    self->news = 0;
    return call((PyObject *)self, s__after_dispatch);
}

/* Tells whether what a thread wants is still to come. */
typedef bool (*Wants)(Core *self, PyObject *what);

static bool wants_value(Core *self, PyObject *oid)
{
    return PyDict_GetItemWithError(self->values, oid) == Py_None;
}

/* Whether the value of an object is pending, and comes unasked. */
static bool wants_result(Core *self, PyObject *oid)
{
    return PyDict_Size(self->pending) > 0 && wants_value(self, oid) && PyDict_Contains(self->asked, oid) == 0;
}

static bool wants_work(Core *self, PyObject *inbox)
{
    return self->ended == Py_None && PyObject_Size(inbox) == 0;
}

/* Becomes the leader if nobody is, and it wants something; *leads tells. Nobody else uses the same token at a time. */
static int begin_to_lead(Core *self, PyObject *token, Wants wants, bool *leads)
{
    PyObject *lock = self->lock;
    Py_INCREF(lock);
    int status = call(lock, s_acquire);
    if (status == 0) {
        *leads = self->leader == Py_None && wants(self, token);
        if (*leads) {
            Py_INCREF(token);
            Py_DECREF(self->leader);
            self->leader = token;
        }
        status = unlock(lock, PyErr_Occurred() ? -1 : 0);
    }
    Py_DECREF(lock);
    return status;
}

/* Hands the lead on, whatever has been raised, which stays raised. It is given up before any call, where an interrupt may come. */
static int end_to_lead(Core *self, int status)
{
    PyObject *type, *value, *traceback, *leader = self->leader;
    PyErr_Fetch(&type, &value, &traceback);
    Py_INCREF(Py_None);
    self->leader = Py_None;
    Py_DECREF(leader);
    int handed = call((PyObject *)self, s__pass_on);
    if (type != NULL)
        PyErr_Restore(type, value, traceback);
    return handed < 0 ? -1 : status;
}

/* Reads, if nobody else does, for as long as something is wanted. */
static PyObject *lead(Core *self, PyObject *token, Wants first, Wants further)
{
    bool leads = false;
    int status = begin_to_lead(self, token, first, &leads);
    if (leads) {
        if (status == 0)
            status = flush(self);
        while (status == 0 && further(self, token))
            status = read_once(self);
        status = end_to_lead(self, PyErr_Occurred() ? -1 : status);
    }
    if (status < 0)
        return NULL;
    Py_RETURN_NONE;
}

PyObject *core_lead_for(PyObject *op, PyObject *oid)
{
    return is_whole((Core *)op) ? lead((Core *)op, oid, wants_result, wants_value) : NULL;
}

PyObject *core_lead_for_work(PyObject *op, PyObject *Py_UNUSED(none))
{
    Core *self = (Core *)op;
    if (!is_whole(self))
        return NULL;
    PyObject *inbox = self->inbox;
    Py_INCREF(inbox);
    PyObject *result = lead(self, inbox, wants_work, wants_work);
    Py_DECREF(inbox);
    return result;
}
