/* The module mobula._fast, and what its parts share. */
#include "fast.h"

PyTypeObject *ref_type, *core_type, *pipe_type;
#define DEFINE_NAME(name) PyObject *s_##name;
NAMES(DEFINE_NAME)

int call(PyObject *object, PyObject *method)
{
    PyObject *result = PyObject_CallMethodObjArgs(object, method, NULL);
    Py_XDECREF(result);
    return result == NULL ? -1 : 0;
}

int unlock(PyObject *lock, int status)
{
    PyObject *type, *value, *traceback;
    PyErr_Fetch(&type, &value, &traceback);
    if (call(lock, s_release) < 0)
        status = -1;
    if (type != NULL)
        PyErr_Restore(type, value, traceback);
    return status;
}

PyObject *protocol_error_class(void)
{
    PyObject *frames = PyImport_ImportModule("mobula._wire");
    PyObject *class = frames == NULL ? NULL : PyObject_GetAttrString(frames, "ProtocolError");
    Py_XDECREF(frames);
    return class;
}

void protocol_error(const char *format, long long n)
{
    PyObject *class = protocol_error_class();
    if (class != NULL)
        PyErr_Format(class, format, n);
    Py_XDECREF(class);
}

void dealloc(PyObject *op, inquiry clear)
{
    PyTypeObject *type = Py_TYPE(op);
    PyObject_GC_UnTrack(op);
    clear(op);
    ((freefunc)PyType_GetSlot(type, Py_tp_free))(op);
    Py_DECREF(type);
}

static PyModuleDef definition = {
    PyModuleDef_HEAD_INIT, "mobula._fast", PyDoc_STR("The inner loops of mobula._pure, in C."), -1, ref_functions, NULL, NULL, NULL, NULL,
};

static bool intern(void)
{
#define INTERN(name) && (s_##name != NULL || (s_##name = PyUnicode_InternFromString(#name)) != NULL)
    return true NAMES(INTERN);
}

static int add_type(PyObject *module, PyTypeObject **type, PyType_Spec *spec, const char *name)
{
    *type = (PyTypeObject *)PyType_FromSpec(spec);
    return *type == NULL ? -1 : PyModule_AddObjectRef(module, name, (PyObject *)*type);
}

PyMODINIT_FUNC PyInit__fast(void)
{
    PyObject *module = intern() ? PyModule_Create(&definition) : NULL;
    if (module == NULL)
        return NULL;
    if (add_type(module, &pipe_type, &pipe_spec, "Pipe") < 0 || add_type(module, &core_type, &core_spec, "Core") < 0 || add_type(module, &ref_type, &ref_spec, "Ref") < 0) {
        Py_DECREF(module);
        return NULL;
    }
    return module;
}
