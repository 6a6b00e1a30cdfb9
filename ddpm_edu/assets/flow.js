// Written by `make export` from nbs/8_using/65_flow.ipynb, which explains it.

function velocity(D, u, sigma) {               // of u = x / √(1 + σ²), while ln σ falls
  const spread = Math.hypot(1, sigma), x0 = D(u.map(v => v * spread), sigma);
  return u.map((v, i) => x0[i] / spread - v / spread ** 2);
}

function walk(D, sigmas, seed, n, how, x) {    // from x, or from noise; how: sampler, and eta
  const noise = new SeededNoise(seed, n), fresh = () => noise.draw(2);
  return sample(D, x ?? fresh().map(z => z * sigmas[0]), sigmas, { ...how, fresh });
}

function layer(net, name, x, row, told) {      // a linear layer, for a row of points at once
  const { at, shape: [outputs, inputs] } = net.tensors[name + ".weight"];
  const out = net.room((outputs + 3 & ~3) * row), taps = net.room(inputs), bias = net.room(outputs);
  for (let k = 0; k < inputs; k++) net.int[taps + k] = k * row;
  net.tensors[name + ".bias"].values.forEach((b, o) => { net.f[bias + o] = b + (told ? told[o] : 0); });
  net.kernel(x, at, taps, out, bias, inputs, row, outputs, row);
  return out;
}

function pointNet(net, points, t) {
  net.forget();
  const { dims, width } = net.config, n = points.length / dims, row = n + 7 & ~7;
  const clock = sinusoid(t, width);
  let x = net.room(dims * row);
  for (let j = 0; j < dims; j++) net.f.set(points.subarray(j * n, j * n + n), x + j * row);
  for (const i of [0, 2, 4]) {
    x = layer(net, `chain.${i}.branches.0`, x, row, net.linear(`chain.${i}.branches.1`, clock));
    for (let k = x; k < x + width * row; k++) net.f[k] = silu(net.f[k]);
  }
  x = layer(net, "chain.6", x, row);
  const out = new Float32Array(points.length);
  for (let j = 0; j < dims; j++) out.set(net.f.subarray(x + j * row, x + j * row + n), j * n);
  return out;
}

function exactDenoiser(data) {
  const N = data.length / 2, d2 = new Float64Array(N);
  return (x, sigma) => {
    const n = x.length / 2, out = new Float32Array(x.length);
    for (let i = 0; i < n; i++) {
      let nearest = Infinity, sum = 0, first = 0, second = 0;
      for (let j = 0; j < N; j++) {
        const a = x[i] - data[j], b = x[n + i] - data[N + j];
        d2[j] = a * a + b * b;
        if (d2[j] < nearest) nearest = d2[j];
      }
      for (let j = 0; j < N; j++) {
        const w = Math.exp((nearest - d2[j]) / (2 * sigma * sigma));
        sum += w; first += w * data[j]; second += w * data[N + j];
      }
      out[i] = first / sum; out[n + i] = second / sum;
    }
    return out;
  };
}

function alongStrokes(strokes, n) {            // n places, evenly along what was drawn; none for a dot
  const length = ([a, b]) => Math.hypot(b[0] - a[0], b[1] - a[1]);
  const pieces = strokes.flatMap(s => s.slice(1).map((b, i) => [s[i], b])).filter(length);
  const total = pieces.reduce((sum, p) => sum + length(p), 0), places = [];
  let passed = 0;
  for (const [a, b] of pieces) {
    const l = length([a, b]), next = () => (places.length + .5) * total / n;
    while (places.length < n && next() <= passed + l) {
      const share = (next() - passed) / l;
      places.push([0, 1].map(k => Number((a[k] + share * (b[k] - a[k])).toFixed(3))));
    }
    passed += l;
  }
  return places;
}

const columns = places => Float32Array.from([0, 1].flatMap(k => places.map(p => p[k])));
