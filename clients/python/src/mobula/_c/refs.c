/* Refs: the base of mobula.ObjectRef, and what is done to many of them at once. */
#include "fast.h"

/* The garbage collector does not see that it has its session: a session has refs only in callbacks that wait, which its end calls. */
typedef struct {
    PyObject_HEAD
    PyObject *id;      /* bytes */
    PyObject *session; /* that has a hold for it */
    PyObject *weak;    /* weak references */
    char method;       /* whether a call of an actor's method makes it */
} Ref;

static PyMemberDef ref_members[] = {
    {"_id", T_OBJECT_EX, offsetof(Ref, id), READONLY, NULL},
    {"_session", T_OBJECT_EX, offsetof(Ref, session), READONLY, NULL},
    {"_method", T_BOOL, offsetof(Ref, method), READONLY, NULL},
    {"__weaklistoffset__", T_PYSSIZET, offsetof(Ref, weak), READONLY, NULL},
    {NULL, 0, 0, 0, NULL},
};

/* Returns the session of this process, with one more hold of an id. */
static PyObject *hold(PyObject *id)
{
    PyObject *refs = PyImport_ImportModule("mobula._refs");
    PyObject *session = refs == NULL ? NULL : PyObject_CallMethodObjArgs(refs, s_hold, id, NULL);
    Py_XDECREF(refs);
    return session;
}

static int ref_init(PyObject *op, PyObject *args, PyObject *keywords)
{
    static char *names[] = {"id", "_session", "_method", NULL};
    Ref *self = (Ref *)op;
    PyObject *id, *session = Py_None;
    int method = 0;
    if (!PyArg_ParseTupleAndKeywords(args, keywords, "O|Op:ObjectRef", names, &id, &session, &method))
        return -1;
    if (self->id != NULL) {
        PyErr_SetString(PyExc_TypeError, "a ref is made once");
        return -1;
    }
    if (session != Py_None)
        Py_INCREF(session);
    else if ((session = hold(id)) == NULL)
        return -1;
    Py_INCREF(id);
    self->id = id;
    self->session = session;
    self->method = (char)method;
    return 0;
}

/* Wakes the flusher, which sends what was released. At the end of the interpreter nothing has to be sent. */
static void arm(Core *session)
{
    PyObject *is_finalizing = PySys_GetObject("is_finalizing");
    PyObject *finalizing = is_finalizing == NULL ? NULL : PyObject_CallObject(is_finalizing, NULL);
    if (finalizing == NULL || (finalizing == Py_False && call((PyObject *)session, s__arm) < 0))
        PyErr_WriteUnraisable((PyObject *)session);
    Py_XDECREF(finalizing);
}

static void ref_dealloc(PyObject *op)
{
    Ref *self = (Ref *)op;
    PyTypeObject *type = Py_TYPE(op);
    if (self->weak != NULL)
        PyObject_ClearWeakRefs(op);
    if (self->session != NULL && PyObject_TypeCheck(self->session, core_type)) {
        Core *session = (Core *)self->session;
        PyObject *kind, *value, *traceback;
        PyErr_Fetch(&kind, &value, &traceback);
        if (session->released == NULL || PyList_Append(session->released, self->id) < 0)
            PyErr_Clear(); /* the session is being freed itself, or there is no memory: the node drops the hold when this process ends */
        else if (!session->armed)
            arm(session);
        PyErr_Restore(kind, value, traceback);
    }
    Py_XDECREF(self->id);
    Py_XDECREF(self->session);
    ((freefunc)PyType_GetSlot(type, Py_tp_free))(op);
    Py_DECREF(type);
}

static Py_hash_t ref_hash(PyObject *op)
{
    PyObject *id = ((Ref *)op)->id;
    return id == NULL ? (Py_hash_t)(intptr_t)op >> 4 : PyObject_Hash(id);
}

static PyObject *ref_compare(PyObject *a, PyObject *b, int operation)
{
    if ((operation != Py_EQ && operation != Py_NE) || !PyObject_TypeCheck(b, ref_type))
        Py_RETURN_NOTIMPLEMENTED;
    PyObject *x = ((Ref *)a)->id, *y = ((Ref *)b)->id;
    if (x == NULL || y == NULL)
        return PyBool_FromLong((a == b) == (operation == Py_EQ));
    return PyObject_RichCompare(x, y, operation);
}

static PyType_Slot ref_slots[] = {
    {Py_tp_doc, (void *)PyDoc_STR("An id, and the hold of a session that goes with it.")},
    {Py_tp_members, ref_members},
    {Py_tp_init, (void *)ref_init},
    {Py_tp_new, (void *)PyType_GenericNew},
    {Py_tp_dealloc, (void *)ref_dealloc},
    {Py_tp_hash, (void *)ref_hash},
    {Py_tp_richcompare, (void *)ref_compare},
    {0, NULL},
};
PyType_Spec ref_spec = {"mobula._fast.Ref", sizeof(Ref), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE, ref_slots};

static PyObject *make_refs(PyObject *Py_UNUSED(module), PyObject *args)
{
    PyTypeObject *type;
    PyObject *ids, *session;
    if (!PyArg_ParseTuple(args, "O!O!O:make_refs", &PyType_Type, &type, &PyList_Type, &ids, &session))
        return NULL;
    if (!PyType_IsSubtype(type, ref_type)) {
        PyErr_SetString(PyExc_TypeError, "not a class of refs");
        return NULL;
    }
    Py_ssize_t count = PyList_Size(ids);
    PyObject *refs = PyList_New(count);
    for (Py_ssize_t i = 0; refs != NULL && i < count; i++) {
        Ref *ref = (Ref *)PyType_GenericAlloc(type, 0);
        if (ref == NULL) {
            Py_CLEAR(refs);
            break;
        }
        ref->id = PyList_GetItem(ids, i);
        ref->session = session;
        Py_INCREF(ref->id);
        Py_INCREF(session);
        PyList_SetItem(refs, i, (PyObject *)ref);
    }
    return refs;
}

/* Returns whether an id comes after another in the order of their bytes. */
static bool follows(PyObject *before, PyObject *id)
{
    return before == NULL || (PyBytes_Check(before) && PyBytes_Check(id) && PyBytes_Size(before) == OBJECT_ID && PyBytes_Size(id) == OBJECT_ID &&
                              memcmp(PyBytes_AsString(before), PyBytes_AsString(id), OBJECT_ID) < 0);
}

/* Returns the ids of a list of refs of exactly one class, or NULL without an exception when something else is among them. *ascend tells
 * whether each comes after the one before. */
static PyObject *collect_ids(PyObject *refs, PyTypeObject *type, bool *ascend)
{
    Py_ssize_t count = PyList_Size(refs);
    PyObject *ids = PyList_New(count), *before = NULL;
    *ascend = true;
    for (Py_ssize_t i = 0; ids != NULL && i < count; i++) {
        PyObject *ref = PyList_GetItem(refs, i), *id = Py_TYPE(ref) == type ? ((Ref *)ref)->id : NULL;
        if (id == NULL) {
            Py_CLEAR(ids);
            break;
        }
        *ascend = *ascend && follows(before, id);
        before = id;
        Py_INCREF(id);
        PyList_SetItem(ids, i, id);
    }
    return ids;
}

static PyObject *ids_of(PyObject *args, const char *format, bool unique)
{
    PyTypeObject *type;
    PyObject *refs;
    bool ascend;
    if (!PyArg_ParseTuple(args, format, &PyList_Type, &refs, &PyType_Type, &type))
        return NULL;
    PyObject *ids = PyType_IsSubtype(type, ref_type) ? collect_ids(refs, type, &ascend) : NULL;
    if (ids != NULL && unique && !ascend) { /* ids that ascend, as those of calls in a row do, need no set */
        PyObject *set = PyFrozenSet_New(ids);
        if (set == NULL || PySet_Size(set) != PyList_Size(ids))
            Py_CLEAR(ids);
        Py_XDECREF(set);
    }
    if (ids != NULL || PyErr_Occurred())
        return ids;
    Py_RETURN_NONE;
}

static PyObject *ref_ids(PyObject *Py_UNUSED(module), PyObject *args)
{
    return ids_of(args, "O!O!:ref_ids", false);
}

static PyObject *unique_ids(PyObject *Py_UNUSED(module), PyObject *args)
{
    return ids_of(args, "O!O!:unique_ids", true);
}

static PyObject *first_ready(PyObject *Py_UNUSED(module), PyObject *args)
{
    PyObject *values, *ids;
    Py_ssize_t wanted;
    if (!PyArg_ParseTuple(args, "O!O!n:first_ready", &PyDict_Type, &values, &PyList_Type, &ids, &wanted))
        return NULL;
    PyObject *chosen = PyList_New(0);
    for (Py_ssize_t i = 0; chosen != NULL && i < PyList_Size(ids) && PyList_Size(chosen) < wanted; i++) {
        PyObject *value = PyDict_GetItemWithError(values, PyList_GetItem(ids, i));
        if (value == NULL ? PyErr_Occurred() == NULL : (value == Py_None || value == Py_False))
            continue;
        PyObject *place = value == NULL ? NULL : PyLong_FromSsize_t(i);
        if (place == NULL || PyList_Append(chosen, place) < 0)
            Py_CLEAR(chosen);
        Py_XDECREF(place);
    }
    return chosen;
}

static PyObject *split_ids(PyObject *Py_UNUSED(module), PyObject *joined)
{
    char *bytes;
    Py_ssize_t size;
    if (PyBytes_AsStringAndSize(joined, &bytes, &size) < 0)
        return NULL;
    PyObject *ids = PyList_New(size / OBJECT_ID);
    for (Py_ssize_t i = 0; ids != NULL && i < size / OBJECT_ID; i++) {
        PyObject *id = PyBytes_FromStringAndSize(bytes + i * OBJECT_ID, OBJECT_ID);
        if (id == NULL)
            Py_CLEAR(ids);
        else
            PyList_SetItem(ids, i, id);
    }
    return ids;
}

PyMethodDef ref_functions[] = {
    {"make_refs", make_refs, METH_VARARGS, PyDoc_STR("Makes refs of a class of ids that a session holds already.")},
    {"ref_ids", ref_ids, METH_VARARGS, PyDoc_STR("Returns the ids of a list of refs of exactly one class; None when it is not that.")},
    {"unique_ids", unique_ids, METH_VARARGS, PyDoc_STR("Returns the ids of a list of refs of exactly one class, none twice; None when it is not that.")},
    {"first_ready", first_ready, METH_VARARGS, PyDoc_STR("Returns where the first ids that are ready stand, so many at most.")},
    {"done_frame", done_frame, METH_VARARGS, PyDoc_STR("Returns the frame of a task that has one small result.")},
    {"split_ids", split_ids, METH_O, PyDoc_STR("Returns the ids that stand one after the other.")},
    {NULL, NULL, 0, NULL},
};
