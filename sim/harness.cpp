// Clocks a compiled core and moves bytes in and out of it: the C interface of a simulated board.
//
// The core (`Vtop`, made by Verilator) has a byte stream in (rx), a byte stream out (tx) and
// `idle`, which is 1 while nothing is waiting or being computed; it has no reset: to reset a board,
// make another one. `relaxon.sim.simulated` declares
// the functions below to ctypes; every one of them is for one thread at a time per board.

#include <cstddef>
#include <cstdint>

#include "Vtop.h"
#include "verilated.h"

#define EXPORT extern "C" __attribute__((visibility("default")))

// A member of a stream port: Amaranth calls it rx__valid, which Verilator spells rx___05Fvalid.
#define MEMBER(stream, member) stream##___05F##member

namespace {

// Cycles without a byte, with `idle` high, after which nothing more can come. More than one, for
// a core whose `idle` is registered.
constexpr unsigned QUIET_CYCLES = 16;

enum Reason : int { BUDGET = 0, FULL = 1, IDLE = 2 };

struct Board {
    VerilatedContext context;
    Vtop top{&context};
    uint64_t cycles = 0;
};

}  // namespace

// A board at power-up; null if there is no memory for it.
EXPORT Board* relaxon_create() {
    try {
        return new Board;
    } catch (...) {
        return nullptr;
    }
}

EXPORT void relaxon_destroy(Board* board) {
    if (board) board->top.final();
    delete board;
}

// Clock cycles since power-up.
EXPORT uint64_t relaxon_cycles(const Board* board) { return board->cycles; }

// Run until `capacity` bytes came out (FULL), `budget` cycles are spent (BUDGET), or all of the
// input is taken and the core has come to rest (IDLE). The input is input[*taken] to
// input[length - 1]; on return *taken is the first byte not taken and *given the number of bytes
// written to `output`.
EXPORT int relaxon_exchange(Board* board, const uint8_t* input, size_t length, size_t* taken,
                            uint8_t* output, size_t capacity, size_t* given, uint64_t budget) {
    Vtop& top = board->top;
    size_t next = *taken;
    size_t count = 0;
    unsigned quiet = 0;
    uint64_t spent = 0;
    int reason = BUDGET;
    top.MEMBER(tx, ready) = 1;
    while (spent < budget) {
        if (count == capacity) {
            reason = FULL;
            break;
        }
        if (quiet == QUIET_CYCLES) {
            reason = IDLE;
            break;
        }
        const bool offer = next < length;
        top.MEMBER(rx, valid) = offer;
        if (offer) top.MEMBER(rx, payload) = input[next];
        top.clk = 0;
        top.eval();
        const bool came = top.MEMBER(tx, valid);
        quiet = top.idle && !offer && !came ? quiet + 1 : 0;
        if (came) output[count++] = top.MEMBER(tx, payload);
        next += offer && top.MEMBER(rx, ready);
        top.clk = 1;
        top.eval();
        ++spent;
    }
    board->cycles += spent;
    *taken = next;
    *given = count;
    return reason;
}
