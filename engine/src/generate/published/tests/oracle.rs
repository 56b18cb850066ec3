//! The published networks again, written down from their formulas in double precision with loops and dense masks: nothing of this is shared with what is
//! tested but the names of tensors.

use std::cell::Cell;
use std::collections::HashMap;
use tessera_tests::weights::Tensor;

/// Rows.
pub type Mat = Vec<Vec<f64>>;

/// All tensors of a file, by name.
pub struct Oracle {
    tensors: HashMap<String, (Vec<usize>, Vec<f64>)>,
    /// How much the last block that was selected was better than the first that was not, at the least, relative to it.
    pub margin: Cell<f64>,
}

/// What a sparse transformer looks at.
#[derive(Clone, Copy)]
pub struct Sparse {
    pub heads: [usize; 2],
    pub compression: i32,
    pub selection: i32,
    pub topk: usize,
    pub window: i32,
    pub factor: f64,
    pub is_v1: bool,
}

/// What tokens of a transformer are.
#[derive(Clone, Copy)]
pub enum Kind<'a> {
    Dense(usize),
    Sparse(Sparse, &'a [[i32; 3]]),
}

pub fn rows(values: &[f32], columns: usize) -> Mat {
    values.chunks_exact(columns).map(|row| row.iter().map(|x| f64::from(*x)).collect()).collect()
}

fn map(x: &Mat, f: impl Fn(f64) -> f64) -> Mat {
    x.iter().map(|row| row.iter().map(|x| f(*x)).collect()).collect()
}

fn sum(a: &Mat, b: &Mat) -> Mat {
    a.iter().zip(b).map(|(a, b)| a.iter().zip(b).map(|(a, b)| a + b).collect()).collect()
}

fn part(x: &Mat, part: usize, parts: usize) -> Mat {
    x.iter().map(|row| row[part * row.len() / parts..(part + 1) * row.len() / parts].to_vec()).collect()
}

fn silu(x: f64) -> f64 {
    x / (1.0 + (-x).exp())
}

fn gelu_by_tanh(x: f64) -> f64 {
    0.5 * x * (1.0 + ((2.0 / std::f64::consts::PI).sqrt() * (x + 0.044715 * x.powi(3))).tanh())
}

/// By Simpson's rule over the density.
fn gelu_exact(x: f64) -> f64 {
    const STEPS: usize = 400;
    let density = |t: f64| (-0.5 * t * t).exp() / (2.0 * std::f64::consts::PI).sqrt();
    let h = x / STEPS as f64;
    let weight = |i: usize| {
        if i == 0 || i == STEPS {
            1.0
        } else if i % 2 == 1 {
            4.0
        } else {
            2.0
        }
    };
    let integral: f64 = (0..=STEPS).map(|i| weight(i) * density(i as f64 * h)).sum::<f64>() * h / 3.0;
    x * (0.5 + integral)
}

pub fn layer_norm(x: &Mat, epsilon: f64) -> Mat {
    let row = |row: &Vec<f64>| {
        let n = row.len() as f64;
        let mean = row.iter().sum::<f64>() / n;
        let variance = row.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n;
        row.iter().map(|x| (x - mean) / (variance + epsilon).sqrt()).collect()
    };
    x.iter().map(row).collect()
}

/// `mask(g, t, s)` says whether group g of query t sees key s.
fn attention(
    q: &Mat,
    k: &Mat,
    v: &Mat,
    [heads, groups]: [usize; 2],
    mask: impl Fn(usize, usize, usize) -> bool,
) -> (Mat, Vec<Vec<f64>>) {
    let width = q[0].len() / heads;
    let (mut out, mut logs) = (Vec::new(), Vec::new());
    for (t, q) in q.iter().enumerate() {
        let (mut row, mut log_row) = (Vec::new(), Vec::new());
        for h in 0..heads {
            let g = h / (heads / groups);
            let of = |x: &Vec<f64>| x[g * width..(g + 1) * width].to_vec();
            let products: Vec<(usize, f64)> = (0..k.len())
                .filter(|s| mask(g, t, *s))
                .map(|s| {
                    let dot: f64 = q[h * width..(h + 1) * width].iter().zip(of(&k[s])).map(|(a, b)| a * b).sum();
                    (s, dot / (width as f64).sqrt())
                })
                .collect();
            let highest = products.iter().map(|p| p.1).fold(f64::NEG_INFINITY, f64::max);
            let total: f64 = products.iter().map(|p| (p.1 - highest).exp()).sum();
            let mut head = vec![0.0; width];
            for (s, product) in &products {
                let weight = (product - highest).exp() / total;
                head.iter_mut().zip(of(&v[*s])).for_each(|(o, v)| *o += weight * v);
            }
            row.extend(head);
            log_row.push(highest + total.ln());
        }
        out.push(row);
        logs.push(log_row);
    }
    (out, logs)
}

fn waves(place: [f64; 3], columns: usize) -> Vec<f64> {
    let count = columns / 3 / 2;
    let mut out = Vec::new();
    for p in place {
        let omega = |k: usize| 1.0 / 10000f64.powf(k as f64 / count as f64);
        out.extend((0..count).map(|k| (p * omega(k)).sin()));
        out.extend((0..count).map(|k| (p * omega(k)).cos()));
    }
    out.resize(columns, 0.0);
    out
}

impl Oracle {
    pub fn new(tensors: &[Tensor]) -> Self {
        let entry = |(name, shape, values): &Tensor| {
            (name.clone(), (shape.clone(), values.iter().map(|x| f64::from(*x)).collect()))
        };
        Self { tensors: tensors.iter().map(entry).collect(), margin: Cell::new(f64::INFINITY) }
    }

    fn get(&self, name: &str) -> &[f64] {
        &self.tensors.get(name).unwrap_or_else(|| panic!("no tensor {name}")).1
    }

    fn has(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }

    fn linear(&self, name: &str, x: &Mat) -> Mat {
        let (weight, inputs) = (self.get(&format!("{name}.weight")), x[0].len());
        let bias = self.tensors.get(&format!("{name}.bias"));
        let row = |x: &Vec<f64>| {
            let out = |(o, w): (usize, &[f64])| {
                w.iter().zip(x).map(|(w, x)| w * x).sum::<f64>() + bias.map_or(0.0, |b| b.1[o])
            };
            weight.chunks_exact(inputs).enumerate().map(out).collect()
        };
        x.iter().map(row).collect()
    }

    fn affine(&self, name: &str, x: &Mat) -> Mat {
        let (w, b) = (self.get(&format!("{name}.weight")), self.get(&format!("{name}.bias")));
        x.iter().map(|row| (0..row.len()).map(|c| row[c] * w[c] + b[c]).collect()).collect()
    }

    fn rms(&self, name: &str, x: &Mat, heads: usize) -> Mat {
        let gamma = self.get(name);
        let row = |row: &Vec<f64>| {
            let width = row.len() / heads;
            let scaled = |c: usize| {
                let head = &row[c / width * width..][..width];
                row[c] / head.iter().map(|x| x * x).sum::<f64>().sqrt() * gamma[c] * (width as f64).sqrt()
            };
            (0..row.len()).map(scaled).collect()
        };
        x.iter().map(row).collect()
    }

    fn mlp(&self, name: &str, x: &Mat) -> Mat {
        self.linear(&format!("{name}.2"), &map(&self.linear(&format!("{name}.0"), x), gelu_by_tanh))
    }

    fn self_attention(
        &self,
        [project, out]: [&str; 2],
        x: &Mat,
        heads: usize,
        norm: Option<&str>,
        mask: impl Fn(usize, usize, usize) -> bool,
    ) -> Mat {
        let all = self.linear(project, x);
        let [mut q, mut k, v] = [0, 1, 2].map(|i| part(&all, i, 3));
        if let Some(name) = norm {
            q = self.rms(&format!("{name}.q_rms_norm.gamma"), &q, heads);
            k = self.rms(&format!("{name}.k_rms_norm.gamma"), &k, heads);
        }
        self.linear(out, &attention(&q, &k, &v, [heads; 2], mask).0)
    }

    fn sparse_conv(&self, name: &str, sites: &[[i32; 3]], x: &Mat) -> Mat {
        let (shape, kernel) = &self.tensors[&format!("{name}.kernel")];
        let bias = self.get(&format!("{name}.bias"));
        let [inputs, outputs] = [shape[shape.len() - 2], shape[shape.len() - 1]];
        let at: HashMap<[i32; 3], usize> = sites.iter().enumerate().map(|(i, p)| (*p, i)).collect();
        let row = |p: &[i32; 3]| {
            let mut out = bias.to_vec();
            for k in 0..shape.iter().product::<usize>() / inputs / outputs {
                let step = if shape.len() == 2 { [0; 3] } else { [k % 3, k / 3 % 3, k / 9].map(|x| x as i32 - 1) };
                let Some(n) = at.get(&[p[0] + step[0], p[1] + step[1], p[2] + step[2]]) else { continue };
                for i in 0..inputs {
                    for o in 0..outputs {
                        out[o] += kernel[(k * inputs + i) * outputs + o] * x[*n][i];
                    }
                }
            }
            out
        };
        sites.iter().map(row).collect()
    }

    /// In 32 groups over all rows, or one for each column.
    fn group_norm(&self, name: &str, x: &Mat) -> Mat {
        let columns = x[0].len();
        let width = (columns / 32).max(1);
        let mut out = x.clone();
        for first in (0..columns).step_by(width) {
            let all: Vec<f64> = x.iter().flat_map(|row| row[first..first + width].to_vec()).collect();
            let mean = all.iter().sum::<f64>() / all.len() as f64;
            let variance = all.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / all.len() as f64;
            for row in &mut out {
                row[first..first + width].iter_mut().for_each(|x| *x = (*x - mean) / (variance + 1e-5).sqrt());
            }
        }
        self.affine(name, &out)
    }

    fn compressed(&self, name: &str, x: &Mat, places: &[[i32; 3]], blocks: &[[i32; 3]], side: i32, is_v1: bool) -> Mat {
        let mean = |x: &Mat| -> Mat {
            let one = |block: &[i32; 3]| {
                let own: Vec<&Vec<f64>> = x
                    .iter()
                    .zip(places)
                    .filter(|(_, p)| p.map(|x| x.div_euclid(side)) == *block)
                    .map(|(x, _)| x)
                    .collect();
                (0..x[0].len()).map(|c| own.iter().map(|row| row[c]).sum::<f64>() / own.len() as f64).collect()
            };
            blocks.iter().map(one).collect()
        };
        if is_v1 {
            return mean(&map(&self.sparse_conv(&format!("{name}.act_layers.0.conv"), places, x), silu));
        }
        let h = mean(&map(&self.group_norm(&format!("{name}.act_layers.0"), x), silu));
        let h = self.sparse_conv(&format!("{name}.out_layers.0.conv"), blocks, &h);
        let h = map(&self.group_norm(&format!("{name}.out_layers.1"), &h), silu);
        sum(&self.sparse_conv(&format!("{name}.out_layers.3.conv"), blocks, &h), &mean(x))
    }

    fn ssa(&self, name: &str, x: &Mat, config: Sparse, places: &[[i32; 3]], shift: i32) -> Mat {
        let of = |part: &str| self.linear(&format!("{name}.{part}"), x);
        let [q, k, v] = ["proj_q", "proj_k", "proj_v"].map(of);
        let Sparse { heads, compression: m, selection, topk, window, is_v1, .. } = config;
        let at = |p: &[i32; 3], side: i32| p.map(|x| x.div_euclid(side));
        let distinct = |side: i32| {
            let mut blocks: Vec<[i32; 3]> = places.iter().map(|p| at(p, side)).collect();
            blocks.sort_unstable();
            blocks.dedup();
            blocks
        };
        let (small, large) = (distinct(m), distinct(selection));
        let pe = self.get(&format!("{name}.intra_block_pe"));
        let keys = k[0].len();
        let placed = |(k, p): (&Vec<f64>, &[i32; 3])| {
            let at = p.iter().fold(0, |at, x| at * m + x.rem_euclid(m)) as usize;
            k.iter().enumerate().map(|(c, x)| x + pe[at * keys + c]).collect()
        };
        let placed: Mat = k.iter().zip(places).map(placed).collect();
        let kc = self.compressed(&format!("{name}.compression_key"), &placed, places, &small, m, is_v1);
        let vc = self.compressed(&format!("{name}.compression_value"), &v, places, &small, m, is_v1);
        let (seen, logs) = attention(&q, &kc, &vc, heads, |_, _, _| true);
        let selected = self.selected(
            &q,
            &kc,
            &logs,
            heads,
            topk,
            [&small.iter().map(|b| at(b, selection / m)).collect::<Vec<_>>(), &large],
        );
        let of_token: Vec<usize> =
            places.iter().map(|p| large.iter().position(|b| *b == at(p, selection)).unwrap()).collect();
        let (picked, _) = attention(&q, &k, &v, heads, |g, t, s| selected[g][t].contains(&of_token[s]));
        let of_window = |p: &[i32; 3]| p.map(|x| (x + shift).div_euclid(window));
        let (near, _) = attention(&q, &k, &v, heads, |_, t, s| of_window(&places[t]) == of_window(&places[s]));
        let gates = map(&of("gate.0"), |x| 1.0 / (1.0 + (-x).exp()));
        let mixed = |t: usize| {
            (0..q[0].len())
                .map(|c| gates[t][0] * seen[t][c] + gates[t][1] * picked[t][c] + gates[t][2] * near[t][c])
                .collect()
        };
        self.linear(&format!("{name}.proj_o"), &(0..x.len()).map(mixed).collect())
    }

    /// For each group and query the blocks with the highest scores.
    fn selected(
        &self,
        q: &Mat,
        kc: &Mat,
        logs: &[Vec<f64>],
        [heads, groups]: [usize; 2],
        topk: usize,
        [of_means, blocks]: [&[[i32; 3]]; 2],
    ) -> Vec<Vec<Vec<usize>>> {
        let width = q[0].len() / heads;
        let shared = heads / groups;
        let of_query = |g: usize, t: usize| {
            let score = |block: &[i32; 3]| -> f64 {
                let own = (0..kc.len()).filter(|j| of_means[*j] == *block);
                own.map(|j| {
                    let head = |h: usize| {
                        let dot: f64 = (0..width).map(|c| q[t][h * width + c] * kc[j][g * width + c]).sum();
                        (dot / (width as f64).sqrt() - logs[t][h]).exp()
                    };
                    (g * shared..(g + 1) * shared).map(head).sum::<f64>()
                })
                .sum()
            };
            let scores: Vec<f64> = blocks.iter().map(score).collect();
            let mut order: Vec<usize> = (0..blocks.len()).collect();
            order.sort_by(|a, b| scores[*b].total_cmp(&scores[*a]));
            if let Some(next) = order.get(topk) {
                let last = scores[order[topk - 1]];
                self.margin.set(self.margin.get().min((last - scores[*next]) / last));
            }
            order.truncate(topk);
            order
        };
        (0..groups).map(|g| (0..q.len()).map(|t| of_query(g, t)).collect()).collect()
    }

    /// Velocities of a transformer.
    pub fn dit(&self, x: &Mat, kind: Kind<'_>, time: f64, condition: &Mat, places: Option<&[[f64; 3]]>) -> Mat {
        let width = self.tensors["dit.input_layer.bias"].0[0];
        let freqs = (0..128).map(|k| (-(10000f64.ln()) * k as f64 / 128.0).exp() * 1000.0 * time);
        let freqs: Vec<f64> = freqs.collect();
        let waves_of_time = freqs.iter().map(|a| a.cos()).chain(freqs.iter().map(|a| a.sin())).collect();
        let t = self.linear("dit.t_embedder.mlp.0", &vec![waves_of_time]);
        let t = self.linear("dit.t_embedder.mlp.2", &map(&t, silu));
        let mut condition = condition.clone();
        if self.has("dit.cond_proj.weight") {
            let waved: Mat = places.unwrap().iter().map(|p| waves(*p, condition[0].len())).collect();
            condition = sum(&self.linear("dit.cond_proj", &condition), &waved);
        }
        let mut h = self.linear("dit.input_layer", x);
        h = match kind {
            Kind::Dense(_) => {
                let added = self.get("dit.pos_emb").chunks_exact(width).map(<[f64]>::to_vec).collect();
                sum(&h, &added)
            }
            Kind::Sparse(config, places) => {
                let place = |p: &[i32; 3]| waves(p.map(|x| config.factor * f64::from(x)), width);
                sum(&h, &places.iter().map(place).collect())
            }
        };
        for i in 0.. {
            let name = format!("dit.blocks.{i}");
            if !self.has(&format!("{name}.norm2.weight")) {
                break;
            }
            h = self.dit_block(&name, h, kind, &t, &condition, i);
        }
        self.linear("dit.out_layer", &layer_norm(&h, 1e-5))
    }

    fn dit_block(&self, name: &str, x: Mat, kind: Kind<'_>, t: &Mat, condition: &Mat, i: usize) -> Mat {
        let mods = self.linear(&format!("{name}.adaLN_modulation.1"), &map(t, silu));
        let m: Vec<Vec<f64>> = (0..6).map(|i| part(&mods, i, 6).remove(0)).collect();
        let modulated = |x: &Mat, shift: usize, scale: usize| -> Mat {
            let normed = layer_norm(x, 1e-6);
            normed
                .iter()
                .map(|row| (0..row.len()).map(|c| row[c] * (1.0 + m[scale][c]) + m[shift][c]).collect())
                .collect()
        };
        let gated = |x: &Mat, h: &Mat, gate: usize| -> Mat {
            x.iter().zip(h).map(|(x, h)| (0..x.len()).map(|c| x[c] + m[gate][c] * h[c]).collect()).collect()
        };
        let h = modulated(&x, 0, 1);
        let own = format!("{name}.self_attn");
        let (h, heads) = match kind {
            Kind::Dense(heads) => {
                let names = [format!("{own}.to_qkv"), format!("{own}.to_out")];
                (self.self_attention([&names[0], &names[1]], &h, heads, Some(&own), |_, _, _| true), heads)
            }
            Kind::Sparse(config, places) => {
                let shift = if i % 2 == 1 { config.window / 2 } else { 0 };
                (self.ssa(&own, &h, config, places, shift), config.heads[0])
            }
        };
        let x = gated(&x, &h, 2);
        let h = self.affine(&format!("{name}.norm2"), &layer_norm(&x, 1e-6));
        let q = self.linear(&format!("{name}.cross_attn.to_q"), &h);
        let kv = self.linear(&format!("{name}.cross_attn.to_kv"), condition);
        let (h, _) = attention(&q, &part(&kv, 0, 2), &part(&kv, 1, 2), [heads; 2], |_, _, _| true);
        let x = sum(&x, &self.linear(&format!("{name}.cross_attn.to_out"), &h));
        let h = self.mlp(&format!("{name}.mlp.mlp"), &modulated(&x, 3, 4));
        gated(&x, &h, 5)
    }

    /// Blocks of windows of 8³ voxels, every second one shifted by half.
    fn window_blocks(&self, name: &str, mut h: Mat, voxels: &[[i32; 3]], heads: usize) -> Mat {
        for i in 0.. {
            let name = format!("{name}.blocks.{i}");
            if !self.has(&format!("{name}.attn.to_out.bias")) {
                break;
            }
            let window = |t: usize| voxels[t].map(|x| (x + 4 * (i % 2)).div_euclid(8));
            let names = [format!("{name}.attn.to_qkv"), format!("{name}.attn.to_out")];
            let normed = layer_norm(&h, 1e-6);
            let seen =
                self.self_attention([&names[0], &names[1]], &normed, heads, None, |_, t, s| window(t) == window(s));
            h = sum(&h, &seen);
            h = sum(&h, &self.mlp(&format!("{name}.mlp.mlp"), &layer_norm(&h, 1e-6)));
        }
        h
    }

    /// Latent voxels and the means of their numbers, of fine voxels with their distances.
    pub fn sparse_encoder(&self, x: &Mat, voxels: &[[i32; 3]], heads: usize) -> (Vec<[i32; 3]>, Mat) {
        let mut h = self.linear("vae.encoder.input_layer1", x);
        let mut voxels = voxels.to_vec();
        for level in 0..3 {
            let name = format!("vae.encoder.downsample.{level}");
            let mut means: Vec<[i32; 3]> = voxels.iter().map(|p| p.map(|x| x / 2)).collect();
            means.sort_unstable();
            means.dedup();
            let mean = |x: &Mat| -> Mat {
                let one = |mean: &[i32; 3]| {
                    let own: Vec<&Vec<f64>> =
                        x.iter().zip(&voxels).filter(|(_, p)| p.map(|x| x / 2) == *mean).map(|(x, _)| x).collect();
                    (0..x[0].len()).map(|c| own.iter().map(|row| row[c]).sum::<f64>() / own.len() as f64).collect()
                };
                means.iter().map(one).collect()
            };
            let normed = mean(&map(&self.group_norm(&format!("{name}.act_layers.0"), &h), silu));
            let normed = self.sparse_conv(&format!("{name}.out_layers.0.conv"), &means, &normed);
            let normed = map(&self.group_norm(&format!("{name}.out_layers.1"), &normed), silu);
            let normed = self.sparse_conv(&format!("{name}.out_layers.3.conv"), &means, &normed);
            let skipped = self.sparse_conv(&format!("{name}.skip_connection.conv"), &means, &mean(&h));
            h = sum(&normed, &skipped);
            voxels = means;
        }
        let h = self.linear("vae.encoder.input_layer", &h);
        let placed: Mat = voxels.iter().map(|p| waves(p.map(f64::from), h[0].len())).collect();
        let h = self.window_blocks("vae.encoder", sum(&h, &placed), &voxels, heads);
        let out = self.linear("vae.encoder.out_layer", &layer_norm(&h, 1e-6));
        (voxels, part(&out, 0, 2))
    }

    /// Distances of fine voxels, which are listed with them.
    pub fn sparse_decoder(&self, x: &Mat, voxels: &[[i32; 3]], heads: usize) -> (Vec<[i32; 3]>, Vec<f64>) {
        let width = self.tensors["vae.decoder.input_layer.bias"].0[0];
        let placed: Mat = voxels.iter().map(|p| waves(p.map(f64::from), width)).collect();
        let mut h = sum(&self.linear("vae.decoder.input_layer", x), &placed);
        h = self.window_blocks("vae.decoder", h, voxels, heads);
        let mut voxels = voxels.to_vec();
        for level in 0..3 {
            let name = format!("vae.decoder.upsample.{level}");
            h = map(&self.sparse_conv(&format!("{name}.act_layers.0.conv"), &voxels, &h), silu);
            let children = |p: &[i32; 3]| {
                let p = *p;
                (0..8).map(move |c| [2 * p[0] + (c >> 2), 2 * p[1] + (c >> 1 & 1), 2 * p[2] + (c & 1)])
            };
            h = h.iter().flat_map(|row| vec![row.clone(); 8]).collect();
            voxels = voxels.iter().flat_map(children).collect();
            h = map(&self.sparse_conv(&format!("{name}.out_layers.0.conv"), &voxels, &h), silu);
        }
        let out = self.linear("vae.decoder.out_layer", &h);
        (voxels, out.into_iter().map(|row| row[0].tanh()).collect())
    }

    /// `[C][side³]`, z fastest, from the same.
    fn conv3d(&self, name: &str, x: &Mat, side: i32) -> Mat {
        let (shape, weight) = &self.tensors[&format!("{name}.weight")];
        let bias = self.get(&format!("{name}.bias"));
        let at = |p: [i32; 3]| {
            p.iter().all(|x| (0..side).contains(x)).then(|| ((p[0] * side + p[1]) * side + p[2]) as usize)
        };
        let value = |o: usize, p: [i32; 3]| {
            let mut sum = bias[o];
            for (k, step) in (0..27).map(|k| (k, [k / 9, k / 3 % 3, k % 3].map(|x| x as i32 - 1))) {
                let Some(n) = at([p[0] + step[0], p[1] + step[1], p[2] + step[2]]) else { continue };
                sum += (0..shape[1]).map(|i| weight[(o * shape[1] + i) * 27 + k] * x[i][n]).sum::<f64>();
            }
            sum
        };
        let places = || (0..side.pow(3)).map(|i| [i / (side * side), i / side % side, i % side]);
        (0..shape[0]).map(|o| places().map(|p| value(o, p)).collect()).collect()
    }

    /// Of the channels at each place.
    fn channel_norm(&self, name: &str, x: &Mat) -> Mat {
        let turned = |x: &Mat| -> Mat { (0..x[0].len()).map(|i| x.iter().map(|row| row[i]).collect()).collect() };
        turned(&self.affine(name, &layer_norm(&turned(x), 1e-5)))
    }

    fn res_block(&self, name: &str, x: &Mat, side: i32) -> Mat {
        let h = map(&self.channel_norm(&format!("{name}.norm1"), x), silu);
        let h = self.conv3d(&format!("{name}.conv1"), &h, side);
        let h = map(&self.channel_norm(&format!("{name}.norm2"), &h), silu);
        sum(x, &self.conv3d(&format!("{name}.conv2"), &h, side))
    }

    /// Logits, from `[C][side³]`; as many blocks as there are.
    pub fn dense_decoder(&self, x: &Mat, mut side: i32) -> Vec<f64> {
        let mut h = self.conv3d("vae.decoder.input_layer", x, side);
        for i in 0.. {
            let name = format!("vae.decoder.middle_block.{i}");
            if !self.has(&format!("{name}.conv1.bias")) {
                break;
            }
            h = self.res_block(&name, &h, side);
        }
        for i in 0.. {
            let name = format!("vae.decoder.blocks.{i}");
            if self.has(&format!("{name}.conv1.bias")) {
                h = self.res_block(&name, &h, side);
            } else if self.has(&format!("{name}.conv.bias")) {
                let packed = self.conv3d(&format!("{name}.conv"), &h, side);
                let fine = 2 * side;
                let value = |c: usize, i: i32| {
                    let p = [i / (fine * fine), i / fine % fine, i % fine];
                    let child = (p[0] % 2 * 4 + p[1] % 2 * 2 + p[2] % 2) as usize;
                    packed[8 * c + child][((p[0] / 2 * side + p[1] / 2) * side + p[2] / 2) as usize]
                };
                h = (0..packed.len() / 8).map(|c| (0..fine.pow(3)).map(|i| value(c, i)).collect()).collect();
                side = fine;
            } else {
                break;
            }
        }
        let h = map(&self.channel_norm("vae.decoder.out_layer.0", &h), silu);
        self.conv3d("vae.decoder.out_layer.2", &h, side).remove(0)
    }

    /// Tokens of a picture, `[3][size²]`.
    pub fn dinov2(&self, picture: &Mat, [size, patch]: [usize; 2], heads: usize) -> Mat {
        let (shape, weight) = &self.tensors["patch_embed.proj.weight"];
        let (width, bias, places) = (shape[0], self.get("patch_embed.proj.bias"), self.get("pos_embed"));
        let mut tokens = vec![(0..width).map(|c| self.get("cls_token")[c] + places[c]).collect::<Vec<f64>>()];
        tokens.extend(self.get("register_tokens").chunks_exact(width).map(<[f64]>::to_vec));
        let side = size / patch;
        for at in 0..side * side {
            let value = |o: usize| {
                let mut sum = bias[o] + places[(1 + at) * width + o];
                for (i, w) in weight[o * 3 * patch * patch..][..3 * patch * patch].iter().enumerate() {
                    let [c, y, x] = [i / (patch * patch), i / patch % patch, i % patch];
                    sum += w * picture[c][(at / side * patch + y) * size + at % side * patch + x];
                }
                sum
            };
            tokens.push((0..width).map(value).collect());
        }
        let mut h = tokens;
        for i in 0.. {
            let name = format!("blocks.{i}");
            if !self.has(&format!("{name}.ls1.gamma")) {
                break;
            }
            let scaled = |x: &Mat, by: &str| -> Mat {
                let by = self.get(&format!("{name}.{by}.gamma"));
                x.iter().map(|row| row.iter().zip(by).map(|(x, by)| x * by).collect()).collect()
            };
            let normed = self.affine(&format!("{name}.norm1"), &layer_norm(&h, 1e-6));
            let names = [format!("{name}.attn.qkv"), format!("{name}.attn.proj")];
            let seen = self.self_attention([&names[0], &names[1]], &normed, heads, None, |_, _, _| true);
            h = sum(&h, &scaled(&seen, "ls1"));
            let normed = self.affine(&format!("{name}.norm2"), &layer_norm(&h, 1e-6));
            let wide = map(&self.linear(&format!("{name}.mlp.fc1"), &normed), gelu_exact);
            h = sum(&h, &scaled(&self.linear(&format!("{name}.mlp.fc2"), &wide), "ls2"));
        }
        layer_norm(&h, 1e-5)
    }
}
