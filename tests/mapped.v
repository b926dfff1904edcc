// What the ECP5's block RAM and multiplier are used for, to be compared with what is made of it.

module memory #(parameter WIDTH = 9, DEPTH = 2048, PARTS = 1) (
    input clk, read, input [PARTS-1:0] write, input [13:0] from, to, input [35:0] value,
    output reg [WIDTH-1:0] found
);
    localparam PART = WIDTH / PARTS;
    (* ram_style = "block" *) reg [WIDTH-1:0] words [0:DEPTH-1];
    integer i;
    initial begin
        found = 0;
        for (i = 0; i < 16; i = i + 1) words[i] = i * 36'd40503000077;
    end
    always @(posedge clk) begin
        if (read) found <= words[from % DEPTH];
        for (i = 0; i < PARTS; i = i + 1)
            if (write[i]) words[to % DEPTH][PART*i +: PART] <= value[PART*i +: PART];
    end
endmodule

module mapped (input clk, input [63:0] random, output [130:0] found);
    // Sixteen addresses, the lowest or far apart; a few are read while they are written.
    wire [13:0] spread = random[16] ? 1 : 9109;
    wire [13:0] from = random[7:4] * spread, to = random[11:8] * spread;
    wire [35:0] value = random[63:28];
    memory #(1, 16384) bits (clk, random[12], random[0], from, to, value, found[0]);
    memory #(4, 4096) nibbles (clk, random[13], random[1], from, to, value, found[4:1]);
    memory #(18, 1024, 2) halves (clk, random[14], random[1:0], from, to, value, found[22:5]);
    memory #(36, 512, 4) words (clk, random[15], random[3:0], from, to, value, found[58:23]);
    wire signed [17:0] signed_a = random[33:16], signed_b = random[63:46];
    wire signed [35:0] signed_product = signed_a * signed_b;
    assign found[94:59] = signed_product;
    assign found[130:95] = random[33:16] * random[63:46];
endmodule
// Sends 1 for each cycle in which what synthesis made of `mapped` does as `mapped` does, otherwise 0.

module top (
    input clk, rx__valid, tx__ready, input [7:0] rx__payload,
    output rx__ready, tx__valid, idle, output [7:0] tx__payload
);
    reg [63:0] random = 1;
    wire [63:0] once = random ^ (random << 13), twice = once ^ (once >> 7);
    always @(posedge clk) random <= twice ^ (twice << 17);
    wire [130:0] wanted, found;
    mapped model (.clk(clk), .random(random), .found(wanted));
    netlist cells (.clk(clk), .random(random), .found(found));
    assign rx__ready = 0, idle = 0, tx__valid = 1;
    assign tx__payload = found == wanted;
endmodule
