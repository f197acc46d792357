/* What a connection writes and reads: the base of mobula._conn.Conn. */
#include "fast.h"

#include <errno.h>
#include <sys/socket.h>

#ifndef MSG_NOSIGNAL
#define MSG_NOSIGNAL 0 /* Python ignores SIGPIPE */
#endif
#ifdef MSG_CMSG_CLOEXEC
const int receive_flags = MSG_CMSG_CLOEXEC;
#else
const int receive_flags = 0;
#endif
enum { FILES_MAX = 16 }; /* descriptors that may come at once, as in mobula._conn */

static PyMemberDef pipe_members[] = {
    PIPE_OBJECTS(MEMBER)
    {"at", T_LONGLONG, offsetof(Pipe, at), 0, NULL},
    {"out_bytes", T_LONGLONG, offsetof(Pipe, out_bytes), 0, NULL},
    {"_fd", T_INT, offsetof(Pipe, fd), 0, NULL},
    {NULL, 0, 0, 0, NULL},
};

static int pipe_traverse(PyObject *op, visitproc visit, void *arg)
{
    Py_VISIT(Py_TYPE(op));
    PIPE_OBJECTS(VISIT)
    return 0;
}

static int pipe_clear(PyObject *op)
{
    PIPE_OBJECTS(CLEAR)
    return 0;
}

static void pipe_dealloc(PyObject *op)
{
    dealloc(op, pipe_clear);
}

bool is_open(Pipe *pipe)
{
    if (is_list(pipe->out) && pipe->lock != NULL && pipe->write_lock != NULL && pipe->tail != NULL && is_list(pipe->sent) && is_list(pipe->files_out) &&
        is_list(pipe->got) && pipe->buffer != NULL && PyByteArray_Check(pipe->buffer) && pipe->data != NULL && PyBytes_Check(pipe->data))
        return true;
    PyErr_SetString(PyExc_RuntimeError, "the connection is not open");
    return false;
}

/* Whether nobody holds a lock: then what follows needs it not until Python runs again. -1 when it raises. */
static int is_free(PyObject *lock)
{
    PyObject *locked = PyObject_CallMethodObjArgs(lock, s_locked, NULL);
    int status = locked == NULL ? -1 : locked == Py_False;
    Py_XDECREF(locked);
    return status;
}

/* Returns the frames that wait as one. */
static PyObject *join(PyObject *frames)
{
    Py_ssize_t size = 0, count = PyList_Size(frames);
    for (Py_ssize_t i = 0; i < count; i++) {
        PyObject *frame = PyList_GetItem(frames, i);
        if (!PyBytes_Check(frame)) {
            PyErr_SetString(PyExc_TypeError, "frames are bytes");
            return NULL;
        }
        size += PyBytes_Size(frame);
    }
    PyObject *joined = PyBytes_FromStringAndSize(NULL, size);
    char *to = joined == NULL ? NULL : PyBytes_AsString(joined);
    for (Py_ssize_t i = 0; to != NULL && i < count; i++) {
        PyObject *frame = PyList_GetItem(frames, i);
        memcpy(to, PyBytes_AsString(frame), (size_t)PyBytes_Size(frame));
        to += PyBytes_Size(frame);
    }
    return joined;
}

int send_now(Pipe *pipe)
{
    if (!is_open(pipe))
        return -1;
    if (pipe->tail != Py_None || PyList_Size(pipe->sent) || PyList_Size(pipe->files_out))
        return 0;
    int writable = is_free(pipe->write_lock);
    if (writable > 0)
        writable = is_free(pipe->lock);
    if (writable <= 0 || PyList_Size(pipe->out) == 0)
        return writable;
    PyObject *data = join(pipe->out), *number;
    if (data == NULL || PyList_SetSlice(pipe->out, 0, PyList_Size(pipe->out), NULL) < 0) {
        Py_XDECREF(data);
        return -1;
    }
    pipe->out_bytes = 0;
    ssize_t sent = send(pipe->fd, PyBytes_AsString(data), (size_t)PyBytes_Size(data), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent == PyBytes_Size(data)) {
        Py_DECREF(data);
        return 1;
    }
    Py_DECREF(pipe->tail);
    pipe->tail = data;
    number = sent > 0 ? PyLong_FromSsize_t(sent) : NULL;
    if (number != NULL && PyList_Append(pipe->sent, number) < 0)
        PyErr_Clear(); /* without memory for that the peer gets the bytes twice, and ends the session */
    Py_XDECREF(number);
    return 0;
}

static PyObject *pipe_send_now(PyObject *op, PyObject *Py_UNUSED(none))
{
    int status = send_now((Pipe *)op);
    return status < 0 ? NULL : PyBool_FromLong(status);
}

/* Appends what was read beside descriptors, or the end of the stream, to got, for Conn.receive. */
static int note(Pipe *pipe, ssize_t count, struct msghdr *message)
{
    PyObject *ancillary = PyList_New(0), *entry = NULL;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(message); ancillary != NULL && c != NULL; c = CMSG_NXTHDR(message, c)) {
        PyObject *item = Py_BuildValue("(iiy#)", c->cmsg_level, c->cmsg_type, CMSG_DATA(c), (Py_ssize_t)(c->cmsg_len - CMSG_LEN(0)));
        if (item == NULL || PyList_Append(ancillary, item) < 0)
            Py_CLEAR(ancillary);
        Py_XDECREF(item);
    }
    if (ancillary != NULL)
        entry = Py_BuildValue("(nNiO)", (Py_ssize_t)count, ancillary, message->msg_flags, Py_None);
    int status = entry == NULL ? -1 : PyList_Append(pipe->got, entry);
    Py_XDECREF(entry);
    return status;
}

/* Puts the bytes of buffer behind those of data that were not handled yet. */
static int take(Pipe *pipe, ssize_t count)
{
    Py_ssize_t rest = PyBytes_Size(pipe->data) - (Py_ssize_t)pipe->at;
    if (pipe->at < 0 || rest < 0) {
        PyErr_SetString(PyExc_ValueError, "there are not so many bytes");
        return -1;
    }
    PyObject *data = PyBytes_FromStringAndSize(NULL, rest + count), *old = pipe->data;
    if (data == NULL)
        return -1;
    memcpy(PyBytes_AsString(data), PyBytes_AsString(old) + pipe->at, (size_t)rest);
    memcpy(PyBytes_AsString(data) + rest, PyByteArray_AsString(pipe->buffer), (size_t)count);
    pipe->data = data;
    pipe->at = 0;
    Py_DECREF(old);
    return 0;
}

int receive(Pipe *pipe, int flags)
{
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(FILES_MAX * sizeof(int))];
    ssize_t count;
    struct iovec part;
    struct msghdr message;
    if (!is_open(pipe))
        return -1;
    do {
        part = (struct iovec){PyByteArray_AsString(pipe->buffer), (size_t)PyByteArray_Size(pipe->buffer)};
        message = (struct msghdr){.msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
        Py_BEGIN_ALLOW_THREADS
        count = recvmsg(pipe->fd, &message, flags);
        Py_END_ALLOW_THREADS
        if (count < 0 && errno == EINTR && PyErr_CheckSignals() < 0)
            return -1;
    } while (count < 0 && errno == EINTR);
    if (count > 0 && message.msg_controllen == 0)
        return take(pipe, count) < 0 ? -1 : 1;
    if (count >= 0)
        return note(pipe, count, &message) < 0 ? -1 : 2;
    if (errno == EAGAIN || errno == EWOULDBLOCK)
        return 0;
    PyErr_SetFromErrno(PyExc_OSError);
    return -1;
}

static PyObject *pipe_receive_now(PyObject *op, PyObject *flags)
{
    long number = PyLong_AsLong(flags);
    int status = number == -1 && PyErr_Occurred() ? -1 : receive((Pipe *)op, (int)number);
    if (status == 2)
        Py_RETURN_NONE;
    return status < 0 ? NULL : PyBool_FromLong(status);
}

static PyMethodDef pipe_methods[] = {
    {"_send_now", pipe_send_now, METH_NOARGS, PyDoc_STR("Writes what waits, if it can go at once and whole; False leaves it to flush.")},
    {"_receive_now", pipe_receive_now, METH_O, PyDoc_STR("Reads once: True when bytes came, False when not, None when what came is in _got.")},
    {NULL, NULL, 0, NULL},
};

static PyType_Slot pipe_slots[] = {
    {Py_tp_doc, (void *)PyDoc_STR("What a connection writes and reads.")},
    {Py_tp_members, pipe_members},
    {Py_tp_methods, pipe_methods},
    {Py_tp_traverse, (void *)pipe_traverse},
    {Py_tp_clear, (void *)pipe_clear},
    {Py_tp_dealloc, (void *)pipe_dealloc},
    {0, NULL},
};
PyType_Spec pipe_spec = {"mobula._fast.Pipe", sizeof(Pipe), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE | Py_TPFLAGS_HAVE_GC, pipe_slots};
