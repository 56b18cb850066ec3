//! Layers of single rows.

use super::place::{Part, Samples, Turned};
use super::{Parameter, Tape, Var};
use std::sync::Arc;
use tessera_kernels::dense::Activation;

impl Tape<'_> {
    /// `x Wᵀ + b`, with W `[out, in]`.
    pub fn linear(&mut self, x: Var, weight: Parameter, bias: Option<Parameter>) -> Var {
        let [rows, inner] = self.shape(x);
        let w = self.parameter(weight);
        let b = bias.map(|bias| self.parameter(bias));
        assert_eq!(self.columns(w), inner, "weights for rows of {inner} numbers");
        let columns = self.rows(w);
        let (xs, ws, bs) = (self.get(x), self.get(w), b.map(|b| self.get(b)));
        let out = self.compute(|place| {
            let matrices = [Turned::new(&xs, inner), Turned::new(&ws, inner).turned()];
            place.product(matrices, [rows, inner, columns], bs.as_ref())
        });
        let inputs: Vec<Var> = [Some(x), Some(w), b].into_iter().flatten().collect();
        self.computed(out, [rows, columns], &inputs, move |place, by_out, gradients| {
            let d = Turned::new(&by_out, columns);
            if gradients.wants(x) {
                let by_x = place.product([d, Turned::new(&ws, inner)], [rows, columns, inner], None)?;
                gradients.add(place, x, by_x)?;
            }
            let by_w = place.product([d.turned(), Turned::new(&xs, inner)], [columns, rows, inner], None)?;
            gradients.add(place, w, by_w)?;
            match b {
                Some(b) => gradients.add(place, b, place.sum_columns(&by_out, None, columns)?),
                None => Ok(()),
            }
        })
    }

    /// A function of each number.
    pub fn activation(&mut self, x: Var, of: Activation) -> Var {
        let xs = self.get(x);
        let out = self.compute(|place| place.activate(of, &xs));
        self.computed(out, self.shape(x), &[x], move |place, by_out, gradients| {
            gradients.add(place, x, place.activate_backward(of, &xs, &by_out)?)
        })
    }

    /// `a + b`.
    pub fn add(&mut self, a: Var, b: Var) -> Var {
        let (of_a, of_b) = (self.get(a), self.get(b));
        let sum = self.compute(|place| place.add(of_a, &of_b));
        self.computed(sum, self.shape(a), &[a, b], move |place, by_out, gradients| {
            if gradients.wants(b) {
                gradients.add(place, b, by_out.clone())?;
            }
            gradients.add(place, a, by_out)
        })
    }

    /// Each row with mean 0 and variance 1.
    pub fn layer_norm(&mut self, x: Var, epsilon: f32) -> Var {
        let (xs, columns) = (self.get(x), self.columns(x));
        let normalised = self.compute(|place| place.normalise(&xs, columns, epsilon));
        self.computed(normalised[0].clone(), self.shape(x), &[x], move |place, by_out, gradients| {
            gradients.add(place, x, place.normalise_backward(&normalised, columns, &by_out)?)
        })
    }

    /// `x w + b`, column by column.
    pub fn affine(&mut self, x: Var, weight: Parameter, bias: Parameter) -> Var {
        let (w, b) = (self.parameter(weight), self.parameter(bias));
        let (xs, ws, bs, columns) = (self.get(x), self.get(w), self.get(b), self.columns(x));
        let out = self.compute(|place| place.scale_columns(&xs, &ws, Some(&bs)));
        self.computed(out, self.shape(x), &[x, w, b], move |place, by_out, gradients| {
            gradients.add(place, w, place.sum_columns(&by_out, Some(&xs), columns)?)?;
            gradients.add(place, b, place.sum_columns(&by_out, None, columns)?)?;
            gradients.add(place, x, place.scale_columns(&by_out, &ws, None)?)
        })
    }

    /// `x w`, column by column.
    pub fn scale_columns(&mut self, x: Var, weight: Parameter) -> Var {
        let w = self.parameter(weight);
        let (xs, ws, columns) = (self.get(x), self.get(w), self.columns(x));
        let out = self.compute(|place| place.scale_columns(&xs, &ws, None));
        self.computed(out, self.shape(x), &[x, w], move |place, by_out, gradients| {
            gradients.add(place, w, place.sum_columns(&by_out, Some(&xs), columns)?)?;
            gradients.add(place, x, place.scale_columns(&by_out, &ws, None)?)
        })
    }

    /// `x (1 + scale) + shift`, where the two are parts `part + 1` and `part` of the row of `by` that belongs to each row's sample.
    pub fn modulate(&mut self, x: Var, by: Var, part: usize, samples: &Arc<Vec<u32>>) -> Var {
        let (xs, bys, width, first) = (self.get(x), self.get(by), self.columns(by), part * self.columns(x));
        let samples = Samples { of_rows: Arc::clone(samples), count: self.rows(by) };
        let out = self.compute(|place| place.modulate(&xs, Part { numbers: &bys, width, first }, &samples));
        self.computed(out, self.shape(x), &[x, by], move |place, by_out, gradients| {
            let part = Part { numbers: &bys, width, first };
            let [by_x, by_by] = place.modulate_backward(&xs, part, &samples, by_out)?;
            gradients.add(place, by, by_by)?;
            gradients.add(place, x, by_x)
        })
    }

    /// `x + gate h`, where the gate is part `part` of the row of `by` that belongs to each row's sample.
    pub fn add_gated(&mut self, x: Var, h: Var, by: Var, part: usize, samples: &Arc<Vec<u32>>) -> Var {
        let (xs, hs, bys) = (self.get(x), self.get(h), self.get(by));
        let (width, first) = (self.columns(by), part * self.columns(x));
        let samples = Samples { of_rows: Arc::clone(samples), count: self.rows(by) };
        let out = self.compute(|place| place.add_gated(&xs, &hs, Part { numbers: &bys, width, first }, &samples));
        self.computed(out, self.shape(x), &[x, h, by], move |place, by_out, gradients| {
            let part = Part { numbers: &bys, width, first };
            let [by_h, by_by] = place.add_gated_backward(&hs, part, &samples, &by_out)?;
            gradients.add(place, by, by_by)?;
            gradients.add(place, h, by_h)?;
            gradients.add(place, x, by_out)
        })
    }

    /// Each row of `x` times the number in column `column` of the same row of `by`.
    pub fn scale_rows(&mut self, x: Var, by: Var, column: usize) -> Var {
        let (xs, bys, width) = (self.get(x), self.get(by), self.columns(by));
        let out = self.compute(|place| place.scale_rows(&xs, Part { numbers: &bys, width, first: column }));
        self.computed(out, self.shape(x), &[x, by], move |place, by_out, gradients| {
            let part = Part { numbers: &bys, width, first: column };
            let [by_x, by_by] = place.scale_rows_backward(&xs, part, by_out)?;
            gradients.add(place, by, by_by)?;
            gradients.add(place, x, by_x)
        })
    }

    /// The rows of these numbers.
    pub fn gather(&mut self, x: Var, rows: &Arc<Vec<u32>>) -> Var {
        let ([count, columns], xs, rows) = (self.shape(x), self.get(x), Arc::clone(rows));
        let out = self.compute(|place| place.gather(&xs, &rows, columns));
        self.computed(out, [rows.len(), columns], &[x], move |place, by_out, gradients| {
            gradients.add(place, x, place.gather_backward(&by_out, &rows, columns, count)?)
        })
    }

    /// Draws from normal distributions: `mean + exp(log_variance / 2) noise`.
    pub fn drawn(&mut self, mean: Var, log_variance: Var, noise: Vec<f32>) -> Var {
        let columns = self.columns(mean);
        let noise = self.constant(noise, columns);
        let (means, logs, noise) = (self.get(mean), self.get(log_variance), self.get(noise));
        let out = self.compute(|place| place.draw(&means, &logs, &noise));
        self.computed(out, self.shape(mean), &[mean, log_variance], move |place, by_out, gradients| {
            gradients.add(place, log_variance, place.draw_backward(&logs, &noise, &by_out)?)?;
            gradients.add(place, mean, by_out)
        })
    }

    /// Part `part` of `parts` equal parts of columns. Nothing is learned through it.
    pub fn take_columns(&mut self, x: Var, part: usize, parts: usize) -> Var {
        let ([rows, width], xs) = (self.shape(x), self.get(x));
        let columns = width / parts;
        let of = |numbers| Part { numbers, width, first: part * columns };
        let out = self.compute(|place| place.take_columns(of(&xs), columns));
        self.push(out, [rows, columns], None, None, false)
    }

    /// Parts of `width` columns brought to the length √width, times the numbers of a parameter. Nothing is learned through it.
    pub fn normalise_lengths(&mut self, x: Var, by: Parameter, width: usize) -> Var {
        let by = self.parameter(by);
        let (xs, bys) = (self.get(x), self.get(by));
        let out = self.compute(|place| place.normalise_lengths(&xs, &bys, width));
        self.push(out, self.shape(x), None, None, false)
    }
}
