// Written by `make export` from nbs/8_using/60_browser.ipynb, which explains it.

function* words(seed) {                        // the Mersenne Twister: 32 random bits at a time, without end
  const w = new Uint32Array(624);
  w[0] = seed;
  for (let i = 1; i < 624; i++) w[i] = Math.imul(1812433253, w[i - 1] ^ (w[i - 1] >>> 30)) + i;
  for (;;) {
    for (let k = 0; k < 624; k++) {
      const y = (w[k] & 0x80000000) | (w[(k + 1) % 624] & 0x7fffffff);
      w[k] = w[(k + 397) % 624] ^ (y >>> 1) ^ (y & 1 ? 0x9908b0df : 0);
    }
    for (let y of w) {
      y ^= y >>> 11; y ^= (y << 7) & 0x9d2c5680; y ^= (y << 15) & 0xefc60000;
      yield (y ^ (y >>> 18)) >>> 0;
    }
  }
}

class Normals {                                // Tensor.normal_ with a generator of this seed, on a CPU
  constructor(seed) { this.words = words(seed); this.kept = null; }

  word() { return this.words.next().value; }

  draw(n) { return n >= 16 ? this.many(n) : Float32Array.from({ length: n }, () => this.one()); }

  many(n) {
    const v = new Float32Array(n);
    const fill = from => { for (let i = from; i < n; i++) v[i] = (this.word() & 0xffffff) / 2 ** 24; };
    const turn = from => {
      for (let i = from; i < from + 8; i++) {
        const r = Math.sqrt(-2 * Math.log(1 - v[i])), angle = 2 * Math.PI * v[i + 8];
        v[i] = r * Math.cos(angle); v[i + 8] = r * Math.sin(angle);
      }
    };
    fill(0);
    for (let i = 0; i + 16 <= n; i += 16) turn(i);
    if (n % 16) { fill(n - 16); turn(n - 16); }
    return v;
  }

  one() {
    if (this.kept !== null) { const z = this.kept; this.kept = null; return z; }
    const uniform = () => ((this.word() & 0x1fffff) * 2 ** 32 + this.word()) / 2 ** 53;
    const angle = 2 * Math.PI * uniform(), r = Math.sqrt(-2 * Math.log1p(-uniform()));
    this.kept = r * Math.sin(angle);
    return r * Math.cos(angle);
  }
}

function mix(h) {
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}

function hashSeed(seed, i) {
  const bits = BigInt.asUintN(64, BigInt(seed)), low = Number(bits & 0xffffffffn), high = Number(bits >> 32n);
  return mix((high ? mix(mix(low) ^ mix(high)) : mix(low)) + i);
}

class SeededNoise {
  constructor(seed, n) { this.samples = Array.from({ length: n }, (_, i) => new Normals(hashSeed(seed, i))); }

  draw(size) {
    const n = this.samples.length, out = new Float32Array(n * size);
    this.samples.forEach((normals, i) => normals.draw(size).forEach((z, j) => { out[j * n + i] = z; }));
    return out;
  }
}

function plainKernel(buffer) {                 // out[o, p] = bias[o] + Σₖ w[o, k] · x[taps[k] + p]
  const f = new Float32Array(buffer), int = new Int32Array(buffer);
  return (x, w, taps, out, bias, K, n, channels, plane) => {
    for (let o = 0; o < channels; o++) for (let p = 0; p < n; p++) {
      let sum = f[bias + o];
      for (let k = 0; k < K; k++) sum += f[w + o * K + k] * f[x + int[taps + k] + p];
      f[out + o * plane + p] = sum;
    }
  };
}

const leb = n => n < 128 ? [n] : [n & 127 | 128, ...leb(n >> 7)];          // whole numbers, seven bits a byte
const get = v => [0x20, v], set = v => [0x21, v], int = n => [0x41, n];    // n below 64
const plus = (a, b) => [a, b, 0x6a], times = (a, b) => [a, b, 0x6c], below = (a, b) => [a, b, 0x48];
const loop = (v, step, end, body) => [int(0), set(v), 0x03, 0x40,           // do body while (v += step) < end
  body, plus(get(v), int(step)), set(v), below(get(v), get(end)), 0x0d, 0, 0x0b];
const fetchInt = at => [at, 0x28, 2, 0];
const fetchFour = (at, offset) => [at, 0xfd, 0, 0, offset];                // four numbers side by side
const fetchOne = (at, offset) => [at, 0xfd, 9, 2, offset];                 // one number, four times
const store = (at, v, offset) => [at, v, 0xfd, 11, 0, offset];
const plusProduct = (a, b, c) => [a, b, c, 0xfd, 0xe6, 1, 0xfd, 0xe4, 1];  // a + b · c, four at once

function kernelBody() {
  const [x, w, taps, out, bias, K, n, channels, plane, o, p, k, at, to] = Array(14).keys(), row = j => 14 + j;
  const [left, right, weight] = [18, 19, 20], sum = (j, half) => 21 + 2 * j + half;
  const four = [0, 1, 2, 3], halves = [0, 1];
  const channel = j => plus(get(o), int(j));
  return [loop(o, 4, channels, [
    four.map(j => [plus(get(w), times(channel(j), get(K))), set(row(j))]),
    loop(p, 32, n, [
      four.map(j => halves.map(h =>
        [fetchOne(plus(get(bias), times(get(o), int(4))), 4 * j), set(sum(j, h))])),
      loop(k, 4, K, [
        plus(plus(get(x), get(p)), times(fetchInt(plus(get(taps), get(k))), int(4))), set(at),
        fetchFour(get(at), 0), set(left), fetchFour(get(at), 16), set(right),
        four.map(j => [fetchOne(plus(get(row(j)), get(k)), 0), set(weight), halves.map(h =>
          [plusProduct(get(sum(j, h)), get(weight), get(h ? right : left)), set(sum(j, h))])]),
      ]),
      four.map(j => [plus(plus(get(out), get(p)), times(channel(j), get(plane))), set(to),
        halves.map(h => store(get(to), get(sum(j, h)), 16 * h))]),
    ]),
  ]), 0x0b];
}

function assembledKernel(memory) {             // the same sum, by WebAssembly
  const section = (id, ...bytes) => { const b = bytes.flat(Infinity); return [id, ...leb(b.length), ...b]; };
  const code = [2, 9, 0x7f, 11, 0x7b, kernelBody()].flat(Infinity);
  const run = new WebAssembly.Instance(new WebAssembly.Module(new Uint8Array([
    0, 0x61, 0x73, 0x6d, 1, 0, 0, 0,                                        // "wasm", version 1
    ...section(1, 1, 0x60, 9, Array(9).fill(0x7f), 0),                      // the type
    ...section(2, 1, 1, 0x6d, 1, 0x6d, 2, 0, 1),                            // memory "m" of module "m"
    ...section(3, 1, 0), ...section(7, 1, 1, 0x66, 0, 0),                   // one function, called "f"
    ...section(10, 1, leb(code.length), code),
  ])), { m: { m: memory } }).exports.f;
  return (x, w, taps, out, bias, K, n, channels, plane) =>                  // from numbers to bytes
    run(4 * x, 4 * w, 4 * taps, 4 * out, 4 * bias, 4 * K, 4 * n, channels, 4 * plane);
}

function kernelFor(megabytes, plain) {         // and the memory that it works on
  if (!plain) try {
    const memory = new WebAssembly.Memory({ initial: 16 * megabytes });     // pages of 64 kB
    return [assembledKernel(memory), memory.buffer];
  } catch { console.info("no WebAssembly here, so this will be slow"); }
  const buffer = new ArrayBuffer(megabytes * 2 ** 20);
  return [plainKernel(buffer), buffer];
}

async function unpack(text) {
  const packed = Uint8Array.from(atob(text), letter => letter.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
  const bytes = new Uint8Array(await new Response(stream).arrayBuffer()), n = bytes.length / 2;
  const bits = new Uint32Array(n), values = new Float32Array(bits.buffer);
  for (let i = 0; i < n; i++) {
    const half = bytes[i] | bytes[n + i] << 8;
    bits[i] = (half & 0x8000) << 16 | (half & 0x7fff) << 13;
    values[i] *= 2 ** 112;
  }
  return values;
}

class Memory {
  constructor(config, tensors, weights, { megabytes = 8, plain = false } = {}) {
    const [kernel, buffer] = kernelFor(megabytes, plain);
    this.kernel = kernel;
    this.f = new Float32Array(buffer); this.int = new Int32Array(buffer);
    this.config = config; this.tensors = {}; this.end = 0;
    for (const [name, shape] of tensors) {
      const n = shape.reduce((a, b) => a * b), at = this.room(n);
      this.tensors[name] = { at, shape, values: this.f.subarray(at, at + n) };
      this.f.set(weights.subarray(0, n), at); weights = weights.subarray(n);
    }
    this.start = this.end;
  }

  room(n) {                                    // where n zeros begin
    const at = this.end;
    this.end += (n + 15) & ~7;                 // the kernel may read and write seven numbers too many
    if (this.end > this.f.length) throw Error("the model needs more memory than the page has asked for");
    this.f.fill(0, at, this.end);
    return at;
  }

  forget() { this.end = this.start; }

  linear(name, v) {
    const w = this.tensors[name + ".weight"].values, b = this.tensors[name + ".bias"].values;
    return b.map((sum, o) => {
      for (let i = 0; i < v.length; i++) sum += w[o * v.length + i] * v[i];
      return sum;
    });
  }
}

function newMap(net, channels, size) {
  const row = size + 2, plane = row * row;
  return { at: net.room(channels * plane), channels, size, row, plane };
}

const place = (map, c, y, x) => map.at + c * map.plane + (y + 1) * map.row + x + 1;

function each(map, f, from = 0, to = map.channels) {
  for (let c = from; c < to; c++) for (let y = 0; y < map.size; y++)
    for (let x = 0, i = place(map, c, y, 0); x < map.size; x++, i++) f(i, c, y, x);
}

function conv(net, name, x) {
  const { at, shape: [channels, inputs, side] } = net.tensors[name + ".weight"], { size } = x;
  const out = newMap(net, channels, size), { row, plane } = out, K = inputs * side * side, taps = net.room(K);
  const middle = side === 1 ? row + 1 : 0;
  for (let k = 0; k < K; k++) {
    const c = Math.floor(k / side / side), i = Math.floor(k / side) % side, j = k % side;
    net.int[taps + k] = side < 4 ? c * plane + i * row + j + middle
      : (4 * c + (i + 1) % 2 * 2 + (j + 1) % 2) * plane + ((i + 1) >> 1) * row + ((j + 1) >> 1);
  }
  const bias = net.tensors[name + ".bias"].at;
  net.kernel(x.at, at, taps, place(out, 0, 0, 0), bias, K, size * row - 2, channels, plane);
  for (let c = 0; c < channels; c++) for (let i = -1; i <= size; i++)
    net.f[place(out, c, i, -1)] = net.f[place(out, c, i, size)] = net.f[place(out, c, size, i)] = 0;
  return out;
}

const silu = v => v / (1 + Math.exp(-v));

function norm(net, name, x, told) {            // silu(GroupNorm(x) · (1 + scale) + shift)
  const { f, tensors } = net, out = newMap(net, x.channels, x.size), n = x.channels / net.config.block_groups;
  const weight = tensors[name + ".weight"].values, bias = tensors[name + ".bias"].values;
  for (let c = 0; c < x.channels; c += n) {
    let sum = 0, squares = 0;
    each(x, i => { sum += f[i]; squares += f[i] * f[i]; }, c, c + n);
    const mean = sum / n / x.size ** 2, variance = squares / n / x.size ** 2 - mean * mean;
    const by = 1 / Math.sqrt(variance + 1e-5);
    each(out, (i, c) => {
      const v = (f[x.at + i - out.at] - mean) * by * weight[c] + bias[c];
      f[i] = silu(told ? v * (1 + told[c]) + told[x.channels + c] : v);
    }, c, c + n);
  }
  return out;
}

function add(net, h, x) {
  for (let i = 0; i < h.channels * h.plane; i++) net.f[h.at + i] += net.f[x.at + i];
  return h;
}

function catChannels(net, h, skip) {           // the skip in front
  const out = newMap(net, skip.channels + h.channels, h.size), n = skip.channels * skip.plane;
  net.f.copyWithin(out.at, skip.at, skip.at + n);
  net.f.copyWithin(out.at + n, h.at, h.at + h.channels * h.plane);
  return out;
}

function doubled(net, x) {
  const out = newMap(net, x.channels, 2 * x.size);
  each(out, (i, c, y, column) => { net.f[i] = net.f[place(x, c, y >> 1, column >> 1)]; });
  return out;
}

function unshuffle(net, x, p) {                // F.pixel_unshuffle
  const out = newMap(net, x.channels * p * p, x.size / p);
  each(out, (i, c, y, column) => {
    const q = c % (p * p);
    net.f[i] = net.f[place(x, Math.floor(c / p / p), y * p + Math.floor(q / p), column * p + q % p)];
  });
  return out;
}

function shuffle(net, x, p) {                  // F.pixel_shuffle
  const out = newMap(net, x.channels / p / p, x.size * p);
  each(x, (i, c, y, column) => {
    const q = c % (p * p);
    net.f[place(out, Math.floor(c / p / p), y * p + Math.floor(q / p), column * p + q % p)] = net.f[i];
  });
  return out;
}

function block(net, name, x, emb) {
  const told = net.linear(name + ".emb", emb.map(silu));
  let h = conv(net, name + ".conv1", norm(net, name + ".norm1", x));
  h = conv(net, name + ".conv2", norm(net, name + ".norm2", h, told));
  return add(net, h, net.tensors[name + ".skip.weight"] ? conv(net, name + ".skip", x) : x);
}

function erf(v) {
  if (Math.abs(v) > 6) return Math.sign(v);
  let sum = v, term = v;
  for (let n = 3; Math.abs(term) > 1e-17 * Math.abs(sum); n += 2) { term *= 2 * v * v / n; sum += term; }
  return 2 / Math.sqrt(Math.PI) * Math.exp(-v * v) * sum;
}

const gelu = v => v / 2 * (1 + erf(v / Math.SQRT2));

function sinusoid(t, width) {                  // the speeds are rounded to 32 bits, as in Python
  return new Float32Array(width).map((_, i) => {
    const omega = 10000 ** (-2 * (i >> 1) / (width - 2));
    return Math.sin(Math.fround(omega + i % 2 * Math.PI / 2) + t * Math.fround(omega));
  });
}

function embed(net, t, y) {
  const label = net.tensors["label.weight"], width = label.shape[1];
  const time = net.linear("time.3", net.linear("time.1", sinusoid(t, width)).map(gelu));
  return time.map((v, i) => v + label.values[(y + 1) * width + i]);
}

function blocks(net, name, h, emb) {
  const n = net.config.num_blocks_per_level;
  for (let i = 1; i <= n; i++) h = block(net, n === 1 ? name : `${name}_${i}`, h, emb);
  return h;
}

function inside(net, i, path, h, emb) {        // what lies inside skip_i: a network, one size smaller
  if (i === net.config.channel_multipliers.length)
    return block(net, path + "middle", conv(net, path + `down_${i + 1}`, h), emb);
  h = conv(net, path + `downsample_${i}`, unshuffle(net, h, 2));
  h = blocks(net, path + `down_${i + 1}`, h, emb);
  h = catChannels(net, inside(net, i + 1, path + `skip_${i + 1}.layers.`, h, emb), h);
  h = blocks(net, path + `up_${i + 1}`, h, emb);
  return conv(net, path + `upsample_${i + 1}.1`, doubled(net, h));
}

function unet(net, image, t, y) {
  net.forget();
  const p = net.config.patch_size, x = newMap(net, 1, Math.sqrt(image.length)), emb = embed(net, t, y);
  let k = 0; each(x, i => { net.f[i] = image[k++]; });
  let h = conv(net, "chain.init", unshuffle(net, x, p));
  h = blocks(net, "chain.down_1", h, emb);
  h = catChannels(net, inside(net, 1, "chain.skip_1.layers.", h, emb), h);
  h = blocks(net, "chain.up_1", h, emb);
  const out = new Float32Array(image.length); k = 0;
  each(shuffle(net, conv(net, "chain.final", h), p), i => { out[k++] = net.f[i]; });
  return out;
}

class Model {                                  // KarrasDiffusion
  constructor(constants, weights, network, options) {
    Object.assign(this, constants);            // sigma_data, sigma_min, sigma_max, threshold, config, …
    this.net = new Memory(constants.config, constants.tensors, weights, options); this.network = network;
  }

  denoise(x, sigma, y = -1) {
    const { sigma_data: d, sigma_min: low, sigma_max: high } = this, c_in = 1 / Math.hypot(sigma, d);
    const u = Math.min(1, Math.max(0, Math.log(sigma / low) / Math.log(high / low)));
    const out = this.network(this.net, x.map(v => c_in * v), u * (this.config.T - 1), y);
    return out.map((v, i) => (d * c_in) ** 2 * x[i] + sigma * d * c_in * v);
  }

  denoiser(label, scale, threshold) {          // guided, then thresholded
    const limited = { static: clip, dynamic: shrunk }[threshold] ?? (x0 => x0);
    return (x, sigma) => {
      if (label < 0 || scale === 0) return limited(this.denoise(x, sigma));
      const told = this.denoise(x, sigma, label);
      if (scale === 1) return limited(told);
      return limited(this.denoise(x, sigma).map((untold, i) => untold + scale * (told[i] - untold)));
    };
  }

  levels(n, { sigma_min: low = this.sigma_min, sigma_max: high = this.sigma_max, rho = 7 } = {}) {
    const a = high ** (1 / rho), b = low ** (1 / rho);
    return [...Array.from({ length: n }, (_, i) => (a + i / Math.max(1, n - 1) * (b - a)) ** rho), 0];
  }

  sampleIter({ n = 1, label = -1, guidance_scale = 1, threshold = this.threshold,
      n_steps, levels, seed, ...how }) {
    const noise = new SeededNoise(seed, n), size = this.data_shape.reduce((a, b) => a * b);
    const sigmas = this.levels(n_steps, levels), x = noise.draw(size).map(z => z * sigmas[0]);
    const D = this.denoiser(label, guidance_scale, threshold);
    return sample(D, x, sigmas, { ...how, fresh: () => noise.draw(size) });    // how: sampler, and eta
  }
}

const clip = (x0, limit = 1) => x0.map(v => Math.min(limit, Math.max(-limit, v)));

function shrunk(x0, percentile = .995) {       // dynamic_threshold
  const sizes = x0.map(Math.abs).sort(), at = percentile * (x0.length - 1), low = Math.floor(at);
  const limit = Math.max(1, sizes[low] + (at - low) * ((sizes[low + 1] ?? 0) - sizes[low]));
  return clip(x0, limit).map(v => v / limit);
}

function ancestralSplit(s, s2, eta) {
  const up = Math.min(s2, eta * s2 * Math.sqrt(Math.max(0, 1 - (s2 / s) ** 2)));
  return [Math.sqrt(Math.max(0, s2 ** 2 - up ** 2)), up];
}

function sdeSplit(s, s2, eta) {
  return s2 ? [s2 * (s2 / s) ** eta, s2 * Math.sqrt(-Math.expm1(2 * eta * Math.log(s2 / s)))] : [0, 0];
}

const SAMPLERS = {                             // eta: what it is if nobody says; null where there is none
  dpmpp_2m_sde: { split: sdeSplit, second: true, eta: 1 },
  dpmpp_2m: { split: sdeSplit, second: true, eta: null },
  ddim: { split: ancestralSplit, second: false, eta: 0 },
  euler: { split: ancestralSplit, second: false, eta: null },
};

function* sample(D, x, sigmas, { sampler, eta = SAMPLERS[sampler].eta, fresh }) {
  const { split, second } = SAMPLERS[sampler], n = sigmas.length - 1;
  let last = null, hLast = 0;
  yield { i: 0, n, sigma: sigmas[0], x, x0: null };
  for (let i = 0; i < n; i++) {
    const s = sigmas[i], s2 = sigmas[i + 1], h = Math.log(s / s2), [down, up] = split(s, s2, eta ?? 0);
    const x0 = D(x, s), c = second && last && s2 ? h / hLast / 2 : 0;
    const guess = c ? x0.map((v, j) => v + c * (v - last[j])) : x0;
    x = x.map((v, j) => guess[j] + down / s * (v - guess[j]));
    if (up) { const z = fresh(); x = x.map((v, j) => v + up * z[j]); }
    last = x0; hLast = h;
    yield { i: i + 1, n, sigma: s2, x, x0 };
  }
}

const $ = id => document.getElementById(id);

function darkSwitch(button, changed = () => {}) {
  const system = matchMedia("(prefers-color-scheme: dark)");
  const use = dark => {
    document.documentElement.dataset.theme = dark ? "dark" : "light";
    button.setAttribute("aria-checked", dark); changed();
  };
  system.addEventListener("change", () => use(system.matches));
  button.addEventListener("click", () => use(button.getAttribute("aria-checked") !== "true"));
  use(system.matches);
}

function copyButton(button, text) {
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(text());
    button.textContent = "Copied"; setTimeout(() => { button.textContent = "Copy"; }, 1500);
  });
}

const tell = (slider, text) => slider.parentElement.querySelector(".value").textContent = text;

function sayValues(form) {                     // beside each slider
  for (const slider of form.querySelectorAll("input[type=range]")) tell(slider, slider.value);
}
