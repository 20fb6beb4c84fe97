"use strict";
// SHA-1 (FIPS 180-4) of a text's UTF-8 bytes, as 40 lower-case hex digits. The API's Secretkey header
// is made with it: sha1(user + sha1(password) + secret). Browsers offer their own only over HTTPS.
function sha1(text) {
  const rotate = (word, bits) => (word << bits) | (word >>> (32 - bits));
  const bytes = [...new TextEncoder().encode(text)];
  const length = bytes.length * 8;
  bytes.push(0x80);
  while (bytes.length % 64 !== 56) bytes.push(0);
  for (let shift = 56; shift >= 0; shift -= 8) {
    bytes.push(Math.floor(length / 2 ** shift) & 0xff);
  }
  let [a0, b0, c0, d0, e0] = [0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0];
  for (let start = 0; start < bytes.length; start += 64) {
    const words = [];
    for (let i = 0; i < 16; i++) {
      const at = start + 4 * i;
      words.push((bytes[at] << 24) | (bytes[at + 1] << 16) | (bytes[at + 2] << 8) | bytes[at + 3]);
    }
    for (let i = 16; i < 80; i++) {
      words.push(rotate(words[i - 3] ^ words[i - 8] ^ words[i - 14] ^ words[i - 16], 1));
    }
    let [a, b, c, d, e] = [a0, b0, c0, d0, e0];
    for (let i = 0; i < 80; i++) {
      let mixed, constant;
      if (i < 20) [mixed, constant] = [(b & c) | (~b & d), 0x5a827999];
      else if (i < 40) [mixed, constant] = [b ^ c ^ d, 0x6ed9eba1];
      else if (i < 60) [mixed, constant] = [(b & c) | (b & d) | (c & d), 0x8f1bbcdc];
      else [mixed, constant] = [b ^ c ^ d, 0xca62c1d6];
      const next = (rotate(a, 5) + mixed + e + constant + words[i]) | 0;
      [a, b, c, d, e] = [next, a, rotate(b, 30), c, d];
    }
    a0 = (a0 + a) | 0;
    b0 = (b0 + b) | 0;
    c0 = (c0 + c) | 0;
    d0 = (d0 + d) | 0;
    e0 = (e0 + e) | 0;
  }
  return [a0, b0, c0, d0, e0].map((word) => (word >>> 0).toString(16).padStart(8, "0")).join("");
}
