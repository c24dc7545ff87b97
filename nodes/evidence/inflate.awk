# Inflates raw deflate data (RFC 1951) with awk alone.
#   od -An -v -tu1 -w1 payload.bin | awk -f inflate.awk
# Decimal bytes come in, one a line; decimal bytes go out, one a line.

function fail(why) {
    print "inflate: " why > "/dev/stderr"
    exit 1
}

function bit(    low) {
    if (bits_left == 0) {
        if ((getline current) <= 0) fail("the data end early")
        current += 0
        bits_left = 8
    }
    low = current % 2
    current = (current - low) / 2
    bits_left--
    return low
}

function bits(count,    value, weight) {
    value = 0
    for (weight = 1; count > 0; count--) {
        value += bit() * weight
        weight *= 2
    }
    return value
}

function emit(byte) {
    window[made % 32768] = byte
    made++
    print byte
}

# Makes the canonical code `name` from `count` lengths that begin at lengths[first].
function build(name, first, count,    symbol, size, place) {
    for (size = 0; size < 16; size++) counts[name, size] = 0
    for (symbol = 0; symbol < count; symbol++) counts[name, lengths[first + symbol]]++
    place[1] = 0
    for (size = 1; size < 15; size++) place[size + 1] = place[size] + counts[name, size]
    for (symbol = 0; symbol < count; symbol++) {
        size = lengths[first + symbol]
        if (size) symbols[name, place[size]++] = symbol
    }
}

function decode(name,    code, start, place, size, count) {
    code = start = place = 0
    for (size = 1; size < 16; size++) {
        code += bit()
        count = counts[name, size]
        if (code - count < start) return symbols[name, place + code - start]
        place += count
        start = (start + count) * 2
        code *= 2
    }
    fail("no such code")
}

function stored(    size, check) {
    bits_left = 0
    size = bits(16)
    check = bits(16)
    if (size + check != 65535) fail("a stored block has a damaged size")
    for (; size > 0; size--) emit(bits(8))
}

function fixed(    symbol) {
    for (symbol = 0; symbol < 288; symbol++)
        lengths[symbol] = symbol < 144 ? 8 : symbol < 256 ? 9 : symbol < 280 ? 7 : 8
    build("literal", 0, 288)
    for (symbol = 0; symbol < 30; symbol++) lengths[symbol] = 5
    build("distance", 0, 30)
}

function dynamic(    literals, distances, sizes, at, symbol, before, times) {
    literals = bits(5) + 257
    distances = bits(5) + 1
    sizes = bits(4) + 4
    for (at = 0; at < 19; at++) lengths[order[at + 1]] = at < sizes ? bits(3) : 0
    build("length", 0, 19)
    for (at = 0; at < literals + distances;) {
        symbol = decode("length")
        if (symbol < 16) {
            lengths[at++] = symbol
            continue
        }
        if (symbol == 16 && at == 0) fail("nothing to repeat")
        before = symbol == 16 ? lengths[at - 1] : 0
        times = symbol == 16 ? 3 + bits(2) : symbol == 17 ? 3 + bits(3) : 11 + bits(7)
        if (at + times > literals + distances) fail("too many lengths")
        for (; times > 0; times--) lengths[at++] = before
    }
    build("literal", 0, literals)
    build("distance", literals, distances)
}

function codes(    symbol, size, distance) {
    while ((symbol = decode("literal")) != 256) {
        if (symbol < 256) {
            emit(symbol)
            continue
        }
        if (symbol > 285) fail("no such length")
        size = size_base[symbol - 256] + bits(size_extra[symbol - 256])
        symbol = decode("distance")
        if (symbol > 29) fail("no such distance")
        distance = distance_base[symbol + 1] + bits(distance_extra[symbol + 1])
        if (distance > made || distance > 32768) fail("reaches back too far")
        for (; size > 0; size--) emit(window[(made - distance) % 32768])
    }
}

BEGIN {
    split("16 17 18 0 8 7 9 6 10 5 11 4 12 3 13 2 14 1 15", order)
    split("3 4 5 6 7 8 9 10 11 13 15 17 19 23 27 31 35 43 51 59 67 83 99 115 131 163 195 227 258", size_base)
    split("0 0 0 0 0 0 0 0 1 1 1 1 2 2 2 2 3 3 3 3 4 4 4 4 5 5 5 5 0", size_extra)
    split("1 2 3 4 5 7 9 13 17 25 33 49 65 97 129 193 257 385 513 769 1025 1537 2049 3073 4097 6145 8193 12289 16385 24577", distance_base)
    split("0 0 0 0 1 1 2 2 3 3 4 4 5 5 6 6 7 7 8 8 9 9 10 10 11 11 12 12 13 13", distance_extra)
    made = bits_left = 0
    do {
        last = bit()
        kind = bits(2)
        if (kind == 0) stored()
        else if (kind == 1) { fixed(); codes() }
        else if (kind == 2) { dynamic(); codes() }
        else fail("no such block")
    } while (!last)
    if ((getline rest) > 0) fail("data behind the end")
}
