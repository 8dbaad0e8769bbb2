//! DWARF tells where code stands by its offset in the code section. When code moves, this moves the
//! DWARF along, so that a trap still names the right file and line. Variables' locations are left
//! out: backtraces do not use them.
//!
//! The sections come from a guest: gimli's reader takes anything, its writer does not, so the line
//! encoding is ours, nesting has a limit, and lists of ranges cannot multiply.
use gimli::write::{Address, AttributeValue, ConvertError, ConvertLineRow, ConvertResult, Range};
use gimli::{constants, read, write, LittleEndian};

type Slice<'a> = read::EndianSlice<'a, LittleEndian>;

const MAX_DEPTH: isize = 200;

/// Old offsets to new ones; only where the difference changes.
#[derive(Default)]
pub struct AddressMap {
    points: Vec<(u64, u64)>,
    end: u64, // of the old code
}

impl AddressMap {
    /// Both offsets rise from call to call.
    pub fn add(&mut self, old: usize, new: usize) {
        let (old, new) = (old as u64, new as u64);
        let same = |&(o, n): &(u64, u64)| n.wrapping_sub(o) == new.wrapping_sub(old);
        if !self.points.last().is_some_and(same) {
            self.points.push((old, new));
        }
        self.end = old;
    }

    /// What is no code (a linker's mark for removed functions) stays as it is.
    fn at(&self, old: u64) -> u64 {
        let next = self.points.partition_point(|p| p.0 <= old);
        if next == 0 || old > self.end {
            return old;
        }
        let (o, n) = self.points[next - 1];
        let new = n + (old - o);
        self.points.get(next).map_or(new, |p| new.min(p.1))
    }

    fn length(&self, start: u64, length: u64) -> u64 {
        self.at(start.wrapping_add(length)).saturating_sub(self.at(start))
    }
}

struct Mover<'m> {
    map: &'m AddressMap,
    ranges_left: usize,
}

impl Mover<'_> {
    fn lines(&self, unit: &mut write::ConvertUnit<'_, Slice<'_>>) -> ConvertResult<()> {
        let Some(mut lines) = unit.read_line_program(None, Some(Default::default()))? else {
            return Ok(());
        };
        // The writer wants offsets from where a sequence begins, and that they do not fall.
        let (mut start, mut base, mut last) = (0, 0, 0);
        while let Some(row) = lines.read_row()? {
            let offset = match &row {
                ConvertLineRow::SetAddress(address) => {
                    base = *address;
                    if !lines.in_sequence() {
                        (start, last) = (base, 0);
                        lines.set_address(Address::Constant(self.map.at(start)));
                    }
                    continue;
                }
                ConvertLineRow::Row(row) => row.address_offset,
                ConvertLineRow::EndSequence(length) => *length,
            };
            let offset = self.map.at(base.wrapping_add(offset)).wrapping_sub(self.map.at(start));
            if offset < last || offset > u32::MAX.into() {
                return Err(ConvertError::InvalidAddress);
            }
            last = offset;
            if let ConvertLineRow::Row(mut row) = row {
                row.address_offset = offset;
                row.op_index = 0;
                lines.generate_row(row);
            } else {
                lines.end_sequence(offset);
                (start, base, last) = (0, 0, 0);
            }
        }
        if lines.in_sequence() {
            return Err(ConvertError::MissingLineEndSequence);
        }
        let (program, files) = lines.program();
        unit.set_line_program(program, files);
        Ok(())
    }

    fn ranges<'d>(
        &mut self,
        unit: read::UnitRef<'_, Slice<'d>>,
        value: read::AttributeValue<Slice<'d>>,
    ) -> ConvertResult<write::RangeList> {
        let mut list = vec![Range::BaseAddress { address: Address::Constant(0) }];
        if let Some(mut ranges) = unit.attr_ranges(value)? {
            while let Some(range) = ranges.next()? {
                let (begin, end) = (self.map.at(range.begin), self.map.at(range.end));
                if range.begin >= self.map.end || begin >= end {
                    continue;
                }
                self.ranges_left = self
                    .ranges_left
                    .checked_sub(1)
                    .ok_or(ConvertError::InvalidRangeRelativeAddress)?;
                list.push(Range::StartEnd {
                    begin: Address::Constant(begin),
                    end: Address::Constant(end),
                });
            }
        }
        Ok(write::RangeList(list))
    }

    fn attributes<'d>(
        &mut self,
        unit: &mut write::ConvertUnit<'_, Slice<'d>>,
        id: write::UnitEntryId,
        entry: &write::ConvertUnitEntry<'_, Slice<'d>>,
    ) -> ConvertResult<()> {
        let low = match entry.attr_value(constants::DW_AT_low_pc) {
            Some(read::AttributeValue::Addr(low)) => low,
            Some(read::AttributeValue::DebugAddrIndex(index)) => entry.read_unit.address(index)?,
            _ => 0,
        };
        for attr in &entry.attrs {
            use read::AttributeValue as V;
            let value = match (attr.name(), attr.value()) {
                (constants::DW_AT_high_pc, V::Udata(length)) => {
                    AttributeValue::Data4(self.map.length(low, length) as u32)
                }
                (constants::DW_AT_ranges, value) => {
                    let list = self.ranges(entry.read_unit, value)?;
                    AttributeValue::RangeListRef(unit.unit.ranges.add(list))
                }
                (_, V::Exprloc(_) | V::Block(_) | V::LocationListsRef(_)) => continue,
                (_, V::DebugLocListsIndex(_) | V::DebugMacinfoRef(_) | V::DebugMacroRef(_)) => {
                    continue;
                }
                (constants::DW_AT_GNU_locviews, _) => continue,
                _ => unit.convert_attribute_value(entry.read_unit, attr, &|address| {
                    Some(Address::Constant(self.map.at(address)))
                })?,
            };
            unit.unit.get_mut(id).set(attr.name(), value);
        }
        Ok(())
    }

    fn unit<'a, 'd>(
        &mut self,
        unit: &mut write::ConvertUnit<'a, Slice<'d>>,
        root: write::ConvertUnitEntry<'a, Slice<'d>>,
    ) -> ConvertResult<()> {
        self.lines(unit)?;
        let id = unit.unit.root();
        self.attributes(unit, id, &root)?;
        let mut entry = root;
        while let Some(id) = unit.read_entry(&mut entry)? {
            if entry.depth() > MAX_DEPTH {
                return Err(ConvertError::InvalidUnitRef);
            }
            let id = unit.add_entry(id, &entry);
            self.attributes(unit, id, &entry)?;
        }
        Ok(())
    }
}

fn convert(
    sections: &[(String, Vec<u8>)],
    map: &AddressMap,
) -> ConvertResult<Vec<(String, Vec<u8>)>> {
    let dwarf = read::Dwarf::load(|id| {
        let found = sections.iter().find(|(name, _)| name == id.name());
        Ok::<_, read::Error>(Slice::new(found.map_or(&[][..], |(_, data)| data), LittleEndian))
    })?;
    let ranges_left = sections.iter().map(|(_, data)| data.len()).sum();
    let mut mover = Mover { map, ranges_left };
    let mut moved = write::Dwarf::new();
    let mut units = moved.convert(&dwarf)?;
    while let Some((mut unit, root)) = units.read_unit()? {
        mover.unit(&mut unit, root)?;
    }
    let mut out = write::Sections::new(write::EndianVec::new(LittleEndian));
    moved.write(&mut out)?;
    let mut result = Vec::new();
    out.for_each(|id, data| {
        if !data.slice().is_empty() {
            result.push((id.name().to_string(), data.slice().to_vec()));
        }
        Ok::<_, write::Error>(())
    })?;
    Ok(result)
}

/// The sections for the moved code. None at all when they cannot be understood: no line is better
/// than a wrong one.
pub fn moved(sections: &[(String, Vec<u8>)], map: &AddressMap) -> Vec<(String, Vec<u8>)> {
    if sections.is_empty() {
        return Vec::new();
    }
    convert(sections, map).unwrap_or_default()
}
