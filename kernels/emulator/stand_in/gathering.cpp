// A stand-in for NCCL, libnccl.so.2, between processes of one machine: what a rank gives is a file in a folder that the id
// names. As streams of the stand-in for the driver do all at once, so does this: a gather waits for all ranks.
#include <sys/stat.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

namespace {

constexpr int SUCCESS = 0, SYSTEM_ERROR = 2, INVALID_ARGUMENT = 4, REMOTE_ERROR = 6, BYTES = 1;

struct Id {
    char internal[128];
};

struct Comm {
    std::string folder;
    int size, rank, done;
};

std::string path(const Comm& comm, int number, int rank) {
    return comm.folder + "/" + std::to_string(number) + "." + std::to_string(rank);
}

// What a rank gives appears by renaming, whole.
bool give(const Comm& comm, int number, const void* bytes, size_t count) {
    const std::string whole = path(comm, number, comm.rank), part = whole + ".part";
    FILE* file = fopen(part.c_str(), "wb");
    if (file == nullptr) return false;
    const bool written = fwrite(bytes, 1, count, file) == count;
    return fclose(file) == 0 && written && rename(part.c_str(), whole.c_str()) == 0;
}

// Waits a minute for what a rank gives. Whether it came, and was as much.
bool take(const Comm& comm, int number, int rank, void* bytes, size_t count) {
    for (int tries = 0; tries < 60000; ++tries, usleep(1000)) {
        FILE* file = fopen(path(comm, number, rank).c_str(), "rb");
        if (file == nullptr) continue;
        const bool whole = fread(bytes, 1, count, file) == count && fgetc(file) == EOF;
        return fclose(file) == 0 && whole;
    }
    return false;
}

}  // namespace

extern "C" {

int ncclGetVersion(int* version) { return *version = 22703, SUCCESS; }
int ncclGetUniqueId(Id* id) {
    const char* folder = getenv("TMPDIR");
    snprintf(id->internal, sizeof id->internal, "%s/gathering-XXXXXX", folder != nullptr ? folder : "/tmp");
    return mkdtemp(id->internal) != nullptr ? SUCCESS : SYSTEM_ERROR;
}
int ncclCommInitRank(Comm** comm, int size, Id id, int rank) {
    if (rank < 0 || rank >= size || strnlen(id.internal, sizeof id.internal) == sizeof id.internal) return INVALID_ARGUMENT;
    *comm = new Comm{id.internal, size, rank, 0};
    if (!give(**comm, 0, "", 0)) return SYSTEM_ERROR;
    for (int other = 0; other < size; ++other) {
        if (!take(**comm, 0, other, nullptr, 0)) return REMOTE_ERROR;
    }
    return SUCCESS;
}
int ncclAllGather(const void* from, void* to, size_t count, int type, Comm* comm, void* stream) {
    if (type != BYTES || stream == nullptr) return INVALID_ARGUMENT;
    comm->done += 1;
    if (!give(*comm, comm->done, from, count)) return SYSTEM_ERROR;
    for (int rank = 0; rank < comm->size; ++rank) {
        if (!take(*comm, comm->done, rank, static_cast<char*>(to) + rank * count, count)) return REMOTE_ERROR;
    }
    return SUCCESS;
}
int ncclCommGetAsyncError(Comm*, int* error) { return *error = SUCCESS, SUCCESS; }
int ncclCommDestroy(Comm* comm) { return delete comm, SUCCESS; }
int ncclCommAbort(Comm* comm) { return delete comm, SUCCESS; }
const char* ncclGetErrorString(int status) {
    return status == INVALID_ARGUMENT ? "invalid argument" : status == REMOTE_ERROR ? "a rank did not come" : "system error";
}

}  // extern "C"
