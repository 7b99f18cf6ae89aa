'use strict';
(() => {
  const data = JSON.parse(document.getElementById('data').textContent);
  const W = 560, H = 270, L = 56, R = 12, T = 8, B = 38;
  const make = (name, set, parent) => {
    const node = document.createElementNS('http://www.w3.org/2000/svg', name);
    for (const key in set) node.setAttribute(key, set[key]);
    if (parent) parent.appendChild(node);
    return node;
  };
  const put = (name, text, parent, kind) => {
    const node = document.createElement(name);
    if (text !== null) node.textContent = text;
    if (kind) node.className = kind;
    if (parent) parent.appendChild(node);
    return node;
  };
  const digits = v => {
    if (v === 0) return '0';
    const a = Math.abs(v);
    if (a >= 1e6 || a < 1e-4) return v.toExponential(2).replace(/\.?0+e/, 'e');
    return String(Number(v.toPrecision(4)));
  };
  const state = { smooth: 0, logX: false };

  // An exponential mean, divided by the weight it has so far.
  const smoothed = (ys, keep) => {
    if (!(keep > 0)) return ys;
    let mean = 0, weight = 0;
    return ys.map(y => {
      if (y === null) return null;
      mean = keep * mean + (1 - keep) * y;
      weight = keep * weight + (1 - keep);
      return mean / weight;
    });
  };

  const ticks = (lo, hi, log) => {
    const found = [];
    if (log) {
      const first = Math.floor(Math.log10(lo)), last = Math.ceil(Math.log10(hi));
      const every = Math.max(1, Math.ceil((last - first) / 6));
      const times = last - first <= 2 ? [1, 2, 5] : [1];
      for (let e = first; e <= last; e += every)
        for (const m of times) {
          const at = m * 10 ** e;
          if (at >= lo && at <= hi) found.push(at);
        }
      if (found.length > 1) return found;
      found.length = 0;
    }
    const raw = (hi - lo) / 5, power = 10 ** Math.floor(Math.log10(raw));
    const step = [1, 2, 5, 10].find(m => m * power >= raw * 0.75) * power;
    if (!(step > 0 && isFinite(step))) return [lo, hi];
    for (let k = Math.ceil(lo / step); k * step <= hi && found.length < 20; k++) found.push(k * step);
    return found;
  };

  const scale = (values, log, from, to) => {
    let lo = Infinity, hi = -Infinity;
    for (const v of values) if (v !== null && (!log || v > 0)) { lo = Math.min(lo, v); hi = Math.max(hi, v); }
    if (lo > hi) { lo = log ? 0.1 : 0; hi = 1; }
    if (hi - lo <= 1e-12 * Math.max(Math.abs(lo), Math.abs(hi))) {
      const pad = log ? lo / 2 : Math.max(Math.abs(lo) * 0.05, 1e-12);
      lo -= pad; hi += pad;
    }
    const f = log ? Math.log10 : v => v;
    const a = f(lo), b = f(hi);
    return { lo, hi, at: v => (v === null || (log && v <= 0)) ? null : from + (f(v) - a) / (b - a) * (to - from) };
  };

  const path = (xs, ys, sx, sy) => {
    let d = '', pen = false;
    for (let i = 0; i < xs.length; i++) {
      const x = sx.at(xs[i]), y = sy.at(ys[i]);
      if (x === null || y === null) { pen = false; continue; }
      d += (pen ? 'L' : 'M') + x.toFixed(1) + ' ' + y.toFixed(1);
      if (!pen && (i + 1 === xs.length || sy.at(ys[i + 1]) === null)) d += 'h.01';
      pen = true;
    }
    return d;
  };

  const charts = data.charts.map(chart => {
    const box = document.getElementById(chart.id);
    const head = put('div', null, box, 'head');
    put('h3', chart.title, head);
    const label = put('label', null, head);
    const log = put('input', null, label);
    log.type = 'checkbox';
    log.checked = chart.log;
    label.append(' log axis');
    const legend = put('div', null, box, 'legend');
    const svg = make('svg', { class: 'chart', viewBox: `0 0 ${W} ${H}`, role: 'img' }, box);
    svg.setAttribute('aria-label', chart.title);
    const read = put('div', '', box, 'read');
    const hidden = new Set();
    const color = s => `var(--s${s.color % 8})`;
    let shown = [], sx = null, draw = null;
    for (const s of chart.series) {
      const entry = put('span', null, legend);
      const mark = put('i', null, entry, ['', 'dash', 'dots'][s.dash]);
      mark.style.borderColor = color(s);
      entry.append(s.name);
      entry.onclick = () => {
        if (!hidden.delete(s)) hidden.add(s);
        entry.classList.toggle('off', hidden.has(s));
        draw();
      };
    }
    draw = () => {
      svg.replaceChildren();
      const series = chart.series.filter(s => !hidden.has(s));
      shown = series.map(s => ({ s, ys: s.points ? s.ys : smoothed(s.ys, state.smooth) }));
      sx = scale(series.flatMap(s => s.xs), state.logX, L, W - R);
      // The range of what is smoothed, so that one spike does not squeeze the rest.
      const sy = scale(shown.flatMap(e => state.smooth > 0 ? e.ys : e.s.ys), log.checked, H - B, T);
      for (const v of ticks(sy.lo, sy.hi, log.checked)) {
        const y = sy.at(v);
        make('line', { x1: L, x2: W - R, y1: y, y2: y, class: 'mesh' }, svg);
        make('text', { x: L - 6, y: y + 4, 'text-anchor': 'end' }, svg).textContent = digits(v);
      }
      for (const v of ticks(sx.lo, sx.hi, state.logX)) {
        const x = sx.at(v), end = x > W - R - 16;
        make('text', { x: end ? W - R : x, y: H - B + 16, 'text-anchor': end ? 'end' : 'middle' }, svg).textContent = digits(v);
      }
      make('text', { x: (L + W - R) / 2, y: H - 6, 'text-anchor': 'middle' }, svg).textContent = 'step';
      const clip = make('svg', { x: 0, y: T - 4, width: W, height: H - B - T + 8, viewBox: `0 ${T - 4} ${W} ${H - B - T + 8}` }, svg);
      for (const { s, ys } of shown) {
        if (state.smooth > 0 && !s.points)
          make('path', { d: path(s.xs, s.ys, sx, sy), class: 'raw', style: `stroke:${color(s)}` }, clip);
        const line = make('path', { d: path(s.xs, ys, sx, sy), style: `stroke:${color(s)}` }, clip);
        if (s.dash) line.setAttribute('stroke-dasharray', s.dash > 1 ? '1.5 3' : '6 4');
        if (s.points && s.xs.length < 200)
          s.xs.forEach((x, i) => {
            const px = sx.at(x), py = sy.at(ys[i]);
            if (px !== null && py !== null) make('circle', { cx: px, cy: py, r: 2.6, style: `fill:${color(s)}` }, clip);
          });
      }
    };
    log.onchange = draw;
    svg.onpointermove = event => {
      const at = svg.getBoundingClientRect();
      const x = (event.clientX - at.left) / at.width * W;
      const parts = shown.map(({ s, ys }) => {
        let best = -1, near = Infinity;
        s.xs.forEach((v, i) => {
          const px = sx.at(v), far = px === null ? Infinity : Math.abs(px - x);
          if (ys[i] !== null && far < near) { near = far; best = i; }
        });
        return best < 0 ? '' : `${s.name} ${digits(ys[best])} at ${digits(s.xs[best])}`;
      });
      read.textContent = parts.filter(Boolean).slice(0, 6).join(' · ');
    };
    svg.onpointerleave = () => { read.textContent = ''; };
    draw();
    return draw;
  });
  const all = () => charts.forEach(draw => draw());

  const slider = document.getElementById('smooth');
  if (slider) slider.oninput = () => {
    // Finer towards one: what is kept is 0, 0.5, 0.9, 0.99 at even distances.
    state.smooth = slider.value === '0' ? 0 : 1 - 10 ** (-slider.value / 34);
    document.getElementById('smoothed').textContent = state.smooth.toFixed(3);
    all();
  };
  if (slider) slider.oninput();
  const logX = document.getElementById('logx');
  if (logX) logX.onchange = () => { state.logX = logX.checked; all(); };
  document.getElementById('theme').onclick = () => {
    const dark = getComputedStyle(document.documentElement).getPropertyValue('--page').trim() !== '#fff';
    document.documentElement.dataset.theme = dark ? 'light' : 'dark';
  };
  document.getElementById('raw').onclick = () => {
    const link = document.createElement('a');
    link.href = URL.createObjectURL(new Blob([document.getElementById('data').textContent], { type: 'application/json' }));
    link.download = 'run.json';
    link.click();
  };
})();
