"""The environment of a child process: a list of what it may see. Everything else stays with the bot.

ffmpeg and model libraries parse files that strangers send. If one of them is taken over, it must not find a
token in its environment. So a variable passes only if a child needs it, and never if its name says that it
holds a secret.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping

from generation import failpoint

ALLOWED_NAMES = frozenset(
    {
        "PATH",
        "HOME",
        "USER",
        "LOGNAME",
        "TERM",
        "TZ",
        "LANG",
        "LANGUAGE",
        "TMPDIR",
        "TEMP",
        "TMP",
        "VIRTUAL_ENV",
        "CONDA_PREFIX",
        "NO_COLOR",
        "IMAGEIO_FFMPEG_EXE",
        "AV_LOG_FORCE_NOCOLOR",
        "SSL_CERT_FILE",
        "SSL_CERT_DIR",
        "REQUESTS_CA_BUNDLE",
        "CURL_CA_BUNDLE",
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "ALL_PROXY",
        "NO_PROXY",
        "CC",  # PyTorch compiles kernels where the operator asks for it
        "CXX",
        "CPATH",
        "C_INCLUDE_PATH",
        "CPLUS_INCLUDE_PATH",
        "LIBRARY_PATH",
        failpoint.ENV_VAR,
        failpoint.TRIGGERED_FILE_ENV_VAR,
    }
)
"""Matched in either case, because `http_proxy` and `HTTP_PROXY` are both in use."""
PYTHON_PREFIXES = ("PYTHON",)
ALLOWED_PREFIXES = (
    *PYTHON_PREFIXES,
    "LC_",
    "LD_",  # where libraries are, and what is preloaded, such as another allocator
    "DYLD_",
    "XDG_",
    # GPUs and their drivers
    "CUDA",
    "CUDNN_",
    "CUBLAS_",
    "NVIDIA_",
    "NCCL_",
    "HIP_",
    "HSA_",
    "ROCM_",
    "ROCR_",
    "MIOPEN_",
    "AMD_",
    "GPU_",
    "LIBVA_",
    "VK_",
    # threads of the numeric libraries
    "OMP_",
    "KMP_",
    "GOMP_",
    "MKL_",
    "OPENBLAS_",
    "NUMEXPR_",
    "MALLOC_",
    # PyTorch and the libraries for models
    "TORCH",
    "PYTORCH_",
    "TRITON_",
    "ORT_",
    "HF_",
    "HUGGINGFACE_",
    "TRANSFORMERS_",
    "DIFFUSERS_",
    "SAFETENSORS_",
    "TOKENIZERS_",
    "ACCELERATE_",
)
SECRET_WORDS = frozenset(
    {
        "AUTH",
        "AUTHORIZATION",
        "COOKIE",
        "CREDENTIAL",
        "CREDENTIALS",
        "JWT",
        "KEY",
        "KEYS",
        "PASS",
        "PASSWD",
        "PASSWORD",
        "PAT",
        "SECRET",
        "SECRETS",
        "TOKEN",
        "TOKENS",
        "WEBHOOK",
    }
)
"""A variable whose name has one of these words between underscores is never passed on."""


def child_environment(
    source: Mapping[str, str] | None = None, *, without_prefixes: Collection[str] = ()
) -> dict[str, str]:
    """The variables of `source`, or of this process, that a child process may see.

    `without_prefixes` leaves out more: those of this interpreter, for a program with another Python.
    """
    source = os.environ if source is None else source
    return {
        name: value
        for name, value in source.items()
        if is_allowed(name) and not name.startswith(tuple(without_prefixes))
    }


def is_allowed(name: str) -> bool:
    upper = name.upper()
    return (upper in ALLOWED_NAMES or upper.startswith(ALLOWED_PREFIXES)) and not is_secret(upper)


def is_secret(name: str) -> bool:
    """Whether the name says that the variable holds a secret."""
    return not SECRET_WORDS.isdisjoint(name.upper().split("_"))
