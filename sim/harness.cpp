// Clocks a compiled core and moves bytes in and out of it: the C interface of a simulated board.
//
// The core (`Vtop`, made by Verilator) has a byte stream in (rx), a byte stream out (tx) and
// `idle`, which is 1 while nothing is waiting or being computed; it has no reset: to reset a board,
// make another one. Each stream comes over a line of its own, on which a byte takes `interval`
// cycles. `relaxon.sim.simulated` declares the functions below to ctypes; every one of them is for
// one thread at a time per board.

#include <cstddef>
#include <cstdint>

#include "Vtop.h"
#include "verilated.h"
#ifdef RELAXON_COVERAGE
#include "verilated_cov.h"
#endif

#define EXPORT extern "C" __attribute__((visibility("default")))

// A member of a stream port: Amaranth calls it rx__valid, which Verilator spells rx___05Fvalid.
#define MEMBER(stream, member) stream##___05F##member

namespace {

// Cycles without a byte, with `idle` high, after which nothing more can come. More than one, for
// a core whose `idle` is registered.
constexpr unsigned QUIET_CYCLES = 16;

enum Reason : int { BUDGET = 0, FULL = 1, IDLE = 2, ANSWERED = 3 };

// One direction of the link: holds the byte that is on its way, or has come and is not taken yet.
struct Line {
    bool busy = false;
    uint8_t byte = 0;
    uint64_t due = 0;  // the cycle at whose end it is there

    void send(uint8_t sent, uint64_t now, uint64_t interval) {
        busy = true;
        byte = sent;
        due = now + interval - 1;
    }
    bool there(uint64_t now) const { return busy && now >= due; }
};

struct Board {
    VerilatedContext context;
    Vtop top{&context};
    uint64_t cycles = 0;
    uint64_t interval = 1;
    Line rx, tx;
};

}  // namespace

// A board at power-up, whose lines carry a byte in `interval` cycles (at least 1); null if there is
// no memory for it.
EXPORT Board* relaxon_create(uint64_t interval) {
    try {
        Board* board = new Board;
        board->interval = interval;
        return board;
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

#ifdef RELAXON_COVERAGE
// Write what the core's Verilog did since power-up; for a core translated with Verilator's --coverage.
EXPORT void relaxon_write_coverage(Board* board, const char* path) {
    board->context.coveragep()->write(path);
}
#endif

// Run until `answers` zero bytes came out (ANSWERED), `capacity` bytes did (FULL), `budget` cycles
// are spent (BUDGET), or all of the input is taken and the core has come to rest (IDLE). The input
// is input[*taken] to input[length - 1]; on return *taken is the first byte the line has not taken
// and *given the number of bytes written to `output`.
EXPORT int relaxon_exchange(Board* board, const uint8_t* input, size_t length, size_t* taken,
                            uint8_t* output, size_t capacity, size_t* given, size_t answers,
                            uint64_t budget) {
    Vtop& top = board->top;
    Line &rx = board->rx, &tx = board->tx;
    const uint64_t interval = board->interval, end = board->cycles + budget;
    uint64_t now = board->cycles;
    size_t next = *taken;
    size_t count = 0;
    unsigned quiet = 0;
    int reason = BUDGET;
    while (now < end) {
        if (answers == 0) {
            reason = ANSWERED;
            break;
        }
        if (count == capacity) {
            reason = FULL;
            break;
        }
        if (quiet == QUIET_CYCLES) {
            reason = IDLE;
            break;
        }
        if (!rx.busy && next < length) rx.send(input[next++], now, interval);
        const bool offer = rx.there(now);
        top.MEMBER(rx, valid) = offer;
        if (offer) top.MEMBER(rx, payload) = rx.byte;
        top.MEMBER(tx, ready) = !tx.busy;
        top.clk = 0;
        top.eval();
        const bool offered = top.MEMBER(tx, valid);
        quiet = top.idle && !rx.busy && !tx.busy && !offered ? quiet + 1 : 0;
        if (offered && !tx.busy) tx.send(top.MEMBER(tx, payload), now, interval);
        if (offer && top.MEMBER(rx, ready)) rx.busy = false;
        top.clk = 1;
        top.eval();
        if (tx.there(now)) {
            output[count++] = tx.byte;
            answers -= tx.byte == 0;
            tx.busy = false;
        }
        ++now;
    }
    board->cycles = now;
    *taken = next;
    *given = count;
    return reason;
}
