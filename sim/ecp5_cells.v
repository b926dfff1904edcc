// The ECP5's block RAM and multiplier, which Yosys has as black boxes only.
//
// They do what Yosys' mapping takes them to do (its share/lattice: brams_16kd.txt,
// brams_map_16kd.v, dsp_map_18x18.v), and no more; Lattice describes them in FPGA-TN-02204
// (memory) and FPGA-TN-02205 (sysDSP). A parameter or port that the mapping does not use is not
// there, and a value that it does not use is an error: output registers, inverted clocks, decoders
// of chip selects, registers and chains of multipliers are not modelled. GSR, the reset of the
// whole chip, never comes. The clocks of a block RAM's two ports are taken for one.

// One port of a block RAM, of which it sees a row: 36 bits, or four words of 9, eight of 4, ...
//
// Of the bits in a row that the other port writes at the same edge, a read gives 1010... as
// relaxon.hw.collisions has it: no such read is promised to give the old value or the new one.
module relaxon_ecp5_port #(
    parameter WIDTH = 18,
    parameter WRITEMODE = "NORMAL",
    parameter RESETMODE = "SYNC"
) (
    input clk, ce, we, rst,
    input [13:0] address,
    input [35:0] data,
    output [8:0] row,
    input [35:0] old,       // that row,
    input [35:0] disturbed, // its bits that the other port writes,
    output [35:0] written,  // those that this one writes,
    output [35:0] value,    // and with what; 0 elsewhere
    output reg [35:0] q
);
    localparam [35:0] WORD = 36'hfffffffff >> (36 - WIDTH);
    localparam [35:0] UNDEFINED = 36'haaaaaaaaa;

    // There are no modules of these names: an error at compile time, which $fatal need not be.
    if (WIDTH != 1 && WIDTH != 2 && WIDTH != 4 && WIDTH != 9 && WIDTH != 18 && WIDTH != 36)
        DATA_WIDTH_of_DP16KD_is_not_modelled error ();
    if (WRITEMODE != "NORMAL" && WRITEMODE != "WRITETHROUGH" && WRITEMODE != "READBEFOREWRITE")
        WRITEMODE_of_DP16KD_is_not_modelled error ();
    if (RESETMODE != "SYNC" && RESETMODE != "ASYNC")
        RESETMODE_of_DP16KD_is_not_modelled error ();

    // The ninth bit of each 9 has no address of its own: narrower words leave it out.
    wire [5:0] first = (WIDTH < 36 && address[4] ? 18 : 0) + (WIDTH < 18 && address[3] ? 9 : 0)
                     + (WIDTH < 9 ? address[2:0] & (8 - WIDTH) : 0);
    // In words wider than 9 bits, one of the lowest address bits enables each 9 to be written.
    wire [35:0] enables = {{9{address[3]}}, {9{address[2]}}, {9{address[1]}}, {9{address[0]}}};
    wire [35:0] enabled = WIDTH > 9 ? enables & WORD : WORD;
    wire writes = ce && we && !(RESETMODE == "SYNC" && rst);
    assign row = address[13:5];
    assign written = writes ? enabled << first : 36'd0;
    assign value = (data << first) & written;

    wire [35:0] seen = (old & ~disturbed) | (UNDEFINED & disturbed);
    wire [35:0] found = WRITEMODE == "WRITETHROUGH" ? (seen & ~written) | value : seen;
    wire clear = RESETMODE == "ASYNC" && rst;
    initial q = 0;
    always @(posedge clk or posedge clear)
        if (clear) q <= 0;
        else if (rst) q <= 0;
        else if (ce && !(writes && WRITEMODE == "NORMAL")) q <= (found >> first) & WORD;
endmodule

// Block RAM of 18 kbit. With DATA_WIDTH_A = 36 port A only writes and port B only reads.
module DP16KD #(
    parameter DATA_WIDTH_A = 18, DATA_WIDTH_B = 18,
    parameter REGMODE_A = "NOREG", REGMODE_B = "NOREG",
    parameter RESETMODE = "SYNC", ASYNC_RESET_RELEASE = "SYNC",
    parameter CSDECODE_A = "0b000", CSDECODE_B = "0b000",
    parameter WRITEMODE_A = "NORMAL", WRITEMODE_B = "NORMAL",
    parameter CLKAMUX = "CLKA", CLKBMUX = "CLKB", GSR = "ENABLED",
    parameter [319:0] INITVAL_00 = 0, INITVAL_01 = 0, INITVAL_02 = 0, INITVAL_03 = 0,
    parameter [319:0] INITVAL_04 = 0, INITVAL_05 = 0, INITVAL_06 = 0, INITVAL_07 = 0,
    parameter [319:0] INITVAL_08 = 0, INITVAL_09 = 0, INITVAL_0A = 0, INITVAL_0B = 0,
    parameter [319:0] INITVAL_0C = 0, INITVAL_0D = 0, INITVAL_0E = 0, INITVAL_0F = 0,
    parameter [319:0] INITVAL_10 = 0, INITVAL_11 = 0, INITVAL_12 = 0, INITVAL_13 = 0,
    parameter [319:0] INITVAL_14 = 0, INITVAL_15 = 0, INITVAL_16 = 0, INITVAL_17 = 0,
    parameter [319:0] INITVAL_18 = 0, INITVAL_19 = 0, INITVAL_1A = 0, INITVAL_1B = 0,
    parameter [319:0] INITVAL_1C = 0, INITVAL_1D = 0, INITVAL_1E = 0, INITVAL_1F = 0,
    parameter [319:0] INITVAL_20 = 0, INITVAL_21 = 0, INITVAL_22 = 0, INITVAL_23 = 0,
    parameter [319:0] INITVAL_24 = 0, INITVAL_25 = 0, INITVAL_26 = 0, INITVAL_27 = 0,
    parameter [319:0] INITVAL_28 = 0, INITVAL_29 = 0, INITVAL_2A = 0, INITVAL_2B = 0,
    parameter [319:0] INITVAL_2C = 0, INITVAL_2D = 0, INITVAL_2E = 0, INITVAL_2F = 0,
    parameter [319:0] INITVAL_30 = 0, INITVAL_31 = 0, INITVAL_32 = 0, INITVAL_33 = 0,
    parameter [319:0] INITVAL_34 = 0, INITVAL_35 = 0, INITVAL_36 = 0, INITVAL_37 = 0,
    parameter [319:0] INITVAL_38 = 0, INITVAL_39 = 0, INITVAL_3A = 0, INITVAL_3B = 0,
    parameter [319:0] INITVAL_3C = 0, INITVAL_3D = 0, INITVAL_3E = 0, INITVAL_3F = 0
) (
    input CLKA, CEA, OCEA, WEA, RSTA, CSA2, CSA1, CSA0,
    input ADA13, ADA12, ADA11, ADA10, ADA9, ADA8, ADA7, ADA6, ADA5, ADA4, ADA3, ADA2, ADA1, ADA0,
    input DIA17, DIA16, DIA15, DIA14, DIA13, DIA12, DIA11, DIA10, DIA9, DIA8, DIA7, DIA6, DIA5,
          DIA4, DIA3, DIA2, DIA1, DIA0,
    output DOA17, DOA16, DOA15, DOA14, DOA13, DOA12, DOA11, DOA10, DOA9, DOA8, DOA7, DOA6, DOA5,
           DOA4, DOA3, DOA2, DOA1, DOA0,
    input CLKB, CEB, OCEB, WEB, RSTB, CSB2, CSB1, CSB0,
    input ADB13, ADB12, ADB11, ADB10, ADB9, ADB8, ADB7, ADB6, ADB5, ADB4, ADB3, ADB2, ADB1, ADB0,
    input DIB17, DIB16, DIB15, DIB14, DIB13, DIB12, DIB11, DIB10, DIB9, DIB8, DIB7, DIB6, DIB5,
          DIB4, DIB3, DIB2, DIB1, DIB0,
    output DOB17, DOB16, DOB15, DOB14, DOB13, DOB12, DOB11, DOB10, DOB9, DOB8, DOB7, DOB6, DOB5,
           DOB4, DOB3, DOB2, DOB1, DOB0
);
    if (REGMODE_A != "NOREG" || REGMODE_B != "NOREG")
        REGMODE_of_DP16KD_is_not_modelled error ();
    if (CLKAMUX != "CLKA" || CLKBMUX != "CLKB")
        CLKMUX_of_DP16KD_is_not_modelled error ();
    if (CSDECODE_A != "0b000" || CSDECODE_B != "0b000")
        CSDECODE_of_DP16KD_is_not_modelled error ();
    if (ASYNC_RESET_RELEASE != RESETMODE)
        ASYNC_RESET_RELEASE_of_DP16KD_is_not_modelled error ();
    if (DATA_WIDTH_B == 36 && DATA_WIDTH_A != 36)
        DATA_WIDTH_of_DP16KD_is_not_modelled error ();

    localparam WIDE = DATA_WIDTH_A == 36;
    localparam [64*320-1:0] INITVAL = {
        INITVAL_3F, INITVAL_3E, INITVAL_3D, INITVAL_3C, INITVAL_3B, INITVAL_3A, INITVAL_39,
        INITVAL_38, INITVAL_37, INITVAL_36, INITVAL_35, INITVAL_34, INITVAL_33, INITVAL_32,
        INITVAL_31, INITVAL_30, INITVAL_2F, INITVAL_2E, INITVAL_2D, INITVAL_2C, INITVAL_2B,
        INITVAL_2A, INITVAL_29, INITVAL_28, INITVAL_27, INITVAL_26, INITVAL_25, INITVAL_24,
        INITVAL_23, INITVAL_22, INITVAL_21, INITVAL_20, INITVAL_1F, INITVAL_1E, INITVAL_1D,
        INITVAL_1C, INITVAL_1B, INITVAL_1A, INITVAL_19, INITVAL_18, INITVAL_17, INITVAL_16,
        INITVAL_15, INITVAL_14, INITVAL_13, INITVAL_12, INITVAL_11, INITVAL_10, INITVAL_0F,
        INITVAL_0E, INITVAL_0D, INITVAL_0C, INITVAL_0B, INITVAL_0A, INITVAL_09, INITVAL_08,
        INITVAL_07, INITVAL_06, INITVAL_05, INITVAL_04, INITVAL_03, INITVAL_02, INITVAL_01,
        INITVAL_00
    };

    reg [35:0] rows [0:511];
    integer i;
    initial  // in 20 bits each, of which 18 are used
        for (i = 0; i < 512; i = i + 1) rows[i] = {INITVAL[40*i+20 +: 18], INITVAL[40*i +: 18]};

    wire [17:0] dia = {DIA17, DIA16, DIA15, DIA14, DIA13, DIA12, DIA11, DIA10, DIA9, DIA8, DIA7,
                      DIA6, DIA5, DIA4, DIA3, DIA2, DIA1, DIA0};
    wire [17:0] dib = {DIB17, DIB16, DIB15, DIB14, DIB13, DIB12, DIB11, DIB10, DIB9, DIB8, DIB7,
                      DIB6, DIB5, DIB4, DIB3, DIB2, DIB1, DIB0};
    wire [8:0] row_a, row_b;
    wire [35:0] written_a, written_b, value_a, value_b, q_a, q_b;
    wire same = row_a == row_b;
    wire [35:0] from_a = same ? written_a : 36'd0;
    wire [35:0] from_b = same ? written_b : 36'd0;

    relaxon_ecp5_port #(
        .WIDTH(DATA_WIDTH_A), .WRITEMODE(WRITEMODE_A), .RESETMODE(RESETMODE)
    ) a (
        .clk(CLKA), .ce(CEA && !{CSA2, CSA1, CSA0}), .we(WEA), .rst(RSTA),
        .address({ADA13, ADA12, ADA11, ADA10, ADA9, ADA8, ADA7, ADA6, ADA5, ADA4, ADA3, ADA2, ADA1,
                  ADA0}),
        .data({dib, dia}), .row(row_a), .old(rows[row_a]), .disturbed(from_b),
        .written(written_a), .value(value_a), .q(q_a)
    );
    relaxon_ecp5_port #(
        .WIDTH(DATA_WIDTH_B), .WRITEMODE(WRITEMODE_B), .RESETMODE(RESETMODE)
    ) b (
        .clk(CLKB), .ce(CEB && !{CSB2, CSB1, CSB0}), .we(WEB && !WIDE), .rst(RSTB),
        .address({ADB13, ADB12, ADB11, ADB10, ADB9, ADB8, ADB7, ADB6, ADB5, ADB4, ADB3, ADB2, ADB1,
                  ADB0}),
        .data({18'd0, dib}), .row(row_b), .old(rows[row_b]), .disturbed(from_a),
        .written(written_b), .value(value_b), .q(q_b)
    );

    // Where both ports write to a row, either writes all of it.
    always @(posedge CLKA)
        if (written_a != 0)
            rows[row_a] <= (rows[row_a] & ~written_a & ~from_b) | value_a | (value_b & from_b);
    always @(posedge CLKB)
        if (written_b != 0)
            rows[row_b] <= (rows[row_b] & ~written_b & ~from_a) | value_b | (value_a & from_a);

    assign {DOA17, DOA16, DOA15, DOA14, DOA13, DOA12, DOA11, DOA10, DOA9, DOA8, DOA7, DOA6, DOA5,
            DOA4, DOA3, DOA2, DOA1, DOA0}
        = DATA_WIDTH_B == 36 ? q_b[17:0] : q_a[17:0];
    assign {DOB17, DOB16, DOB15, DOB14, DOB13, DOB12, DOB11, DOB10, DOB9, DOB8, DOB7, DOB6, DOB5,
            DOB4, DOB3, DOB2, DOB1, DOB0}
        = DATA_WIDTH_B == 36 ? q_b[35:18] : q_b[17:0];
endmodule

// Multiplier of 18 x 18 bits without registers. Port C only passes through the real one.
module MULT18X18D (
    input A17, A16, A15, A14, A13, A12, A11, A10, A9, A8, A7, A6, A5, A4, A3, A2, A1, A0,
    input B17, B16, B15, B14, B13, B12, B11, B10, B9, B8, B7, B6, B5, B4, B3, B2, B1, B0,
    input C17, C16, C15, C14, C13, C12, C11, C10, C9, C8, C7, C6, C5, C4, C3, C2, C1, C0,
    input SIGNEDA, SIGNEDB, SOURCEA, SOURCEB,
    output P35, P34, P33, P32, P31, P30, P29, P28, P27, P26, P25, P24, P23, P22, P21, P20, P19, P18,
           P17, P16, P15, P14, P13, P12, P11, P10, P9, P8, P7, P6, P5, P4, P3, P2, P1, P0
);
    wire [17:0] a = {A17, A16, A15, A14, A13, A12, A11, A10, A9, A8, A7, A6, A5, A4, A3, A2, A1,
                    A0};
    wire [17:0] b = {B17, B16, B15, B14, B13, B12, B11, B10, B9, B8, B7, B6, B5, B4, B3, B2, B1,
                    B0};
    wire signed [18:0] extended_a = {SIGNEDA && a[17], a};
    wire signed [18:0] extended_b = {SIGNEDB && b[17], b};
    wire signed [37:0] product = extended_a * extended_b;
    assign {P35, P34, P33, P32, P31, P30, P29, P28, P27, P26, P25, P24, P23, P22, P21, P20, P19,
            P18, P17, P16, P15, P14, P13, P12, P11, P10, P9, P8, P7, P6, P5, P4, P3, P2, P1, P0}
        = SOURCEA || SOURCEB ? 36'haaaaaaaaa : product[35:0];  // no chains
endmodule
