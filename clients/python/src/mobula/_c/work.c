/* The outcome of a task, from a worker. */
#include "fast.h"

PyObject *done_frame(PyObject *Py_UNUSED(module), PyObject *args)
{
    unsigned long long handle, run_ns;
    unsigned char format;
    const char *meta;
    Py_ssize_t length;
    unsigned char number[VARINT_MAX];
    if (!PyArg_ParseTuple(args, "Kby#K:done_frame", &handle, &format, &meta, &length, &run_ns))
        return NULL;
    if (length > FRAME_MAX / 2 || format > 127) {
        PyErr_SetString(PyExc_ValueError, "no small result");
        return NULL;
    }
    /* A Done: handle, the Value (its format and metadata), the time. */
    Py_ssize_t value = 3 + (put_varint(number, (uint64_t)length) - number) + length;
    Py_ssize_t size = 3 + (put_varint(number, handle) - number) + (put_varint(number, (uint64_t)value) - number) + value +
                      (put_varint(number, run_ns) - number);
    PyObject *data = PyBytes_FromStringAndSize(NULL, HEADER_SIZE + size);
    if (data == NULL)
        return NULL;
    unsigned char *p = put_header((unsigned char *)PyBytes_AsString(data), size, KIND_DONE);
    *p++ = 0x08;
    p = put_varint(p, handle);
    *p++ = 0x12;
    p = put_varint(p, (uint64_t)value);
    *p++ = 0x08;
    *p++ = format;
    *p++ = 0x12;
    p = put_varint(p, (uint64_t)length);
    memcpy(p, meta, (size_t)length);
    p += length;
    *p++ = 0x20;
    put_varint(p, run_ns);
    return data;
}
