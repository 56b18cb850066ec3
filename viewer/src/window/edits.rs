//! Which splats are selected and which are deleted, with undo and redo.

/// One bit for each splat.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Marks {
    words: Vec<u32>,
    len: usize,
}

impl Marks {
    fn new(len: usize) -> Self {
        Self { words: vec![0; len.div_ceil(32)], len }
    }

    /// Whether splat `i` is marked.
    pub fn get(&self, i: usize) -> bool {
        self.words.get(i / 32).is_some_and(|word| word >> (i % 32) & 1 == 1)
    }

    fn flip(&mut self, i: usize) {
        if i < self.len {
            self.words[i / 32] ^= 1 << (i % 32);
        }
    }

    /// How many are marked.
    pub fn count(&self) -> usize {
        self.words.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// The words of splats from `start`, which is a multiple of 32.
    pub fn words_from(&self, start: usize) -> &[u32] {
        self.words.get(start / 32..).unwrap_or_default()
    }

    fn ones(&self) -> impl Iterator<Item = u32> + '_ {
        (0..self.len as u32).filter(|&i| self.get(i as usize))
    }
}

/// How a new selection meets the old one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Combine {
    /// It replaces it.
    Replace,
    /// It is added.
    Add,
    /// It is taken away.
    Remove,
}

/// What one step changed: splats whose marks were flipped.
#[derive(Clone, Debug)]
struct Step {
    selected: Vec<u32>,
    deleted: Vec<u32>,
}

/// Steps that can be undone.
const MAX_STEPS: usize = 200;

/// The state of editing.
#[derive(Clone, Debug, Default)]
pub struct Edits {
    selected: Marks,
    deleted: Marks,
    done: Vec<Step>,
    undone: Vec<Step>,
}

impl Edits {
    /// Nothing selected, nothing deleted.
    pub fn new(splats: usize) -> Self {
        Self { selected: Marks::new(splats), deleted: Marks::new(splats), ..Self::default() }
    }

    /// Selected splats.
    pub fn selected(&self) -> &Marks {
        &self.selected
    }

    /// Deleted splats.
    pub fn deleted(&self) -> &Marks {
        &self.deleted
    }

    /// Selects splats, of which deleted ones do not count.
    pub fn select(&mut self, splats: &[u32], combine: Combine) {
        let mut wanted = match combine {
            Combine::Replace => Marks::new(self.selected.len),
            _ => self.selected.clone(),
        };
        for &i in splats.iter().filter(|&&i| !self.deleted.get(i as usize)) {
            if wanted.get(i as usize) != (combine != Combine::Remove) {
                wanted.flip(i as usize);
            }
        }
        let changed = |i: &u32| wanted.get(*i as usize) != self.selected.get(*i as usize);
        let selected = (0..self.selected.len as u32).filter(changed).collect();
        self.apply(Step { selected, deleted: Vec::new() });
    }

    /// Selects what is not, and the reverse.
    pub fn invert(&mut self) {
        let splats: Vec<u32> = (0..self.selected.len as u32).filter(|&i| !self.selected.get(i as usize)).collect();
        self.select(&splats, Combine::Replace);
    }

    /// Deletes what is selected.
    pub fn delete(&mut self) {
        let all: Vec<u32> = self.selected.ones().collect();
        self.apply(Step { selected: all.clone(), deleted: all });
    }

    /// Takes the last step back; whether there was one.
    pub fn undo(&mut self) -> bool {
        let Some(step) = self.done.pop() else { return false };
        self.flip(&step);
        self.undone.push(step);
        true
    }

    /// Does the step again that was taken back last; whether there was one.
    pub fn redo(&mut self) -> bool {
        let Some(step) = self.undone.pop() else { return false };
        self.flip(&step);
        self.done.push(step);
        true
    }

    /// Splats that are left.
    pub fn kept(&self) -> Vec<u32> {
        (0..self.deleted.len as u32).filter(|&i| !self.deleted.get(i as usize)).collect()
    }

    fn apply(&mut self, step: Step) {
        if step.selected.is_empty() && step.deleted.is_empty() {
            return;
        }
        self.flip(&step);
        self.undone.clear();
        self.done.push(step);
        if self.done.len() > MAX_STEPS {
            self.done.remove(0);
        }
    }

    fn flip(&mut self, step: &Step) {
        step.selected.iter().for_each(|&i| self.selected.flip(i as usize));
        step.deleted.iter().for_each(|&i| self.deleted.flip(i as usize));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_undone_and_done_again() {
        let mut edits = Edits::new(100);
        edits.select(&[3, 40, 99, 200], Combine::Replace);
        assert_eq!(edits.selected().count(), 3);
        edits.select(&[40, 41], Combine::Remove);
        edits.select(&[7], Combine::Add);
        edits.delete();
        assert_eq!((edits.selected().count(), edits.deleted().count()), (0, 3));
        assert_eq!(edits.kept().len(), 97);
        assert!(edits.undo() && edits.deleted().count() == 0 && edits.selected().get(7));
        assert!(edits.undo() && edits.undo() && edits.selected().get(40));
        assert!(edits.redo() && edits.redo() && edits.redo() && !edits.redo());
        assert!(edits.deleted().get(3) && !edits.deleted().get(40));
    }

    #[test]
    fn deleted_splats_cannot_be_selected() {
        let mut edits = Edits::new(10);
        edits.select(&[1], Combine::Replace);
        edits.delete();
        edits.invert();
        assert_eq!(edits.selected().count(), 9);
        edits.select(&[1], Combine::Replace);
        assert_eq!(edits.selected().count(), 0);
    }
}
