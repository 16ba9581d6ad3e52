//! One sheet as it is written from the top.

use rust_xlsxwriter::{Format, FormatAlign, FormatBorder, Table, TableColumn, TableStyle, Url, Workbook, Worksheet, XlsxError};

use crate::evidence::text::visible;

/// Longest text of a cell that spreadsheets accept, characters.
const MAX_TEXT: usize = 32_767;
/// A4.
const PAPER: u8 = 9;

/// How cells look.
#[derive(Debug)]
pub(super) struct Styles {
    title: Format,
    heading: Format,
    head: Format,
    text: Format,
    number: Format,
    name: Format,
    link: Format,
}

impl Styles {
    pub(super) fn new() -> Self {
        let plain = || Format::new().set_font_name("Calibri").set_font_size(10);
        let wrapped = || plain().set_text_wrap().set_align(FormatAlign::Top);
        Self {
            title: plain().set_font_size(14).set_bold(),
            heading: plain().set_font_size(12).set_bold(),
            head: wrapped().set_bold().set_border_bottom(FormatBorder::Thin),
            text: wrapped(),
            number: plain().set_align(FormatAlign::Top),
            name: wrapped().set_bold(),
            link: wrapped().set_underline(rust_xlsxwriter::FormatUnderline::Single),
        }
    }
}

/// One cell.
#[derive(Clone, Debug)]
pub(super) enum Cell {
    /// Never a formula.
    Text(String),
    /// A digest or id: not wrapped, the next cell may cover its end.
    Code(String),
    /// A count.
    Number(f64),
    /// A link to another sheet.
    Sheet(String),
}

impl Cell {
    /// A digest or id.
    pub(super) fn code(value: &dyn std::fmt::Display) -> Self {
        Self::Code(value.to_string())
    }

    /// The same, if there is one.
    pub(super) fn code_or_empty<T: std::fmt::Display>(value: Option<T>) -> Self {
        Self::Code(value.map(|v| v.to_string()).unwrap_or_default())
    }

    /// A link to a sheet by its name.
    pub(super) fn sheet(name: &str) -> Self {
        Self::Sheet(name.into())
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::Text(text.into())
    }
}

impl From<u64> for Cell {
    fn from(n: u64) -> Self {
        // Counts are far below 2^53.
        Self::Number(n as f64)
    }
}

impl From<usize> for Cell {
    fn from(n: usize) -> Self {
        Self::from(n as u64)
    }
}

/// A sheet and the row that is next.
pub(super) struct Sheet<'w> {
    sheet: &'w mut Worksheet,
    styles: &'w Styles,
    row: u32,
}

impl<'w> Sheet<'w> {
    pub(super) fn new(book: &'w mut Workbook, name: &str, styles: &'w Styles) -> Result<Self, XlsxError> {
        let sheet = book.add_worksheet();
        sheet.set_name(name)?;
        sheet.set_landscape().set_paper_size(PAPER).set_print_fit_to_pages(1, 0).set_footer("&L&A&R&P / &N");
        Ok(Self { sheet, styles, row: 0 })
    }

    /// Widths of the columns, in characters.
    pub(super) fn widths(&mut self, widths: &[f64]) -> Result<(), XlsxError> {
        for (column, width) in (0..).zip(widths) {
            self.sheet.set_column_width(column, *width)?;
        }
        Ok(())
    }

    /// The first line.
    pub(super) fn title(&mut self, text: &str) -> Result<(), XlsxError> {
        self.sheet.write_string_with_format(self.row, 0, shown(text), &self.styles.title)?;
        self.row += 1;
        Ok(())
    }

    /// A heading between tables.
    pub(super) fn heading(&mut self, text: &str) -> Result<(), XlsxError> {
        self.sheet.write_string_with_format(self.row, 0, shown(text), &self.styles.heading)?;
        self.row += 1;
        Ok(())
    }

    /// A line of text over all columns.
    pub(super) fn line(&mut self, text: &str) -> Result<(), XlsxError> {
        self.sheet.write_string(self.row, 0, shown(text))?;
        self.row += 1;
        Ok(())
    }

    /// A link to another sheet; it stays in sight with the title.
    pub(super) fn back(&mut self, name: &str) -> Result<(), XlsxError> {
        self.cell(0, &Cell::sheet(name))?;
        self.row += 1;
        self.sheet.set_freeze_panes(self.row, 0)?;
        Ok(())
    }

    /// Leaves a row free.
    pub(super) fn skip(&mut self) {
        self.row += 1;
    }

    /// A name and its value.
    pub(super) fn pair(&mut self, name: &str, value: &str) -> Result<(), XlsxError> {
        self.sheet.write_string_with_format(self.row, 0, shown(name), &self.styles.name)?;
        self.sheet.write_string_with_format(self.row, 1, shown(value), &self.styles.text)?;
        self.row += 1;
        Ok(())
    }

    /// The one list of a sheet: head frozen, with filters.
    pub(super) fn list(&mut self, head: &[(&str, f64)], rows: impl Iterator<Item = Vec<Cell>>, limit: usize, whole: &str) -> Result<(), XlsxError> {
        self.widths(&head.iter().map(|(_, width)| *width).collect::<Vec<_>>())?;
        self.note_if_cut(rows.size_hint().1.unwrap_or_default(), limit, whole)?;
        let first = self.row;
        self.heads(head)?;
        self.sheet.set_freeze_panes(self.row, 1)?;
        self.sheet.set_repeat_rows(first, first)?;
        self.rows(rows, limit)?;
        let last = column(head.len().saturating_sub(1));
        self.sheet.autofilter(first, 0, self.row.saturating_sub(1).max(first), last)?;
        Ok(())
    }

    /// One of several tables of a sheet, each with filters of its own.
    pub(super) fn table(
        &mut self,
        title: &str,
        head: &[(&str, f64)],
        rows: impl Iterator<Item = Vec<Cell>>,
        limit: usize,
        whole: &str,
    ) -> Result<(), XlsxError> {
        self.skip();
        self.heading(title)?;
        self.note_if_cut(rows.size_hint().1.unwrap_or_default(), limit, whole)?;
        let first = self.row;
        self.row += 1;
        self.rows(rows, limit)?;
        if self.row == first + 1 {
            self.row = first;
            return self.line("None.");
        }
        let columns: Vec<TableColumn> = head.iter().map(|(name, _)| TableColumn::new().set_header(*name)).collect();
        let table = Table::new().set_columns(&columns).set_style(TableStyle::Light1).set_banded_rows(false);
        self.sheet.add_table(first, 0, self.row - 1, column(head.len().saturating_sub(1)), &table)?;
        Ok(())
    }

    fn note_if_cut(&mut self, rows: usize, limit: usize, whole: &str) -> Result<(), XlsxError> {
        if rows <= limit {
            return Ok(());
        }
        self.heading(&format!("The first {limit} of {rows} rows; {whole} in the bundle has all of them."))
    }

    fn heads(&mut self, head: &[(&str, f64)]) -> Result<(), XlsxError> {
        for (column, (name, _)) in (0..).zip(head) {
            self.sheet.write_string_with_format(self.row, column, *name, &self.styles.head)?;
        }
        self.row += 1;
        Ok(())
    }

    fn rows(&mut self, rows: impl Iterator<Item = Vec<Cell>>, limit: usize) -> Result<(), XlsxError> {
        for cells in rows.take(limit) {
            for (column, cell) in (0..).zip(&cells) {
                self.cell(column, cell)?;
            }
            self.row += 1;
        }
        Ok(())
    }

    fn cell(&mut self, column: u16, cell: &Cell) -> Result<(), XlsxError> {
        match cell {
            Cell::Text(text) | Cell::Code(text) if text.is_empty() => (),
            Cell::Code(text) => drop(self.sheet.write_string_with_format(self.row, column, shown(text), &self.styles.number)?),
            Cell::Text(text) => drop(self.sheet.write_string_with_format(self.row, column, shown(text), &self.styles.text)?),
            Cell::Number(n) => drop(self.sheet.write_number_with_format(self.row, column, *n, &self.styles.number)?),
            Cell::Sheet(name) => {
                let link = Url::new(format!("internal:'{name}'!A1")).set_text(name.as_str());
                self.sheet.write_url_with_format(self.row, column, link, &self.styles.link)?;
            }
        }
        Ok(())
    }
}

/// Text that a cell takes: nothing that controls or reorders, and not too long.
fn shown(text: &str) -> String {
    let text = visible(text);
    if text.chars().count() <= MAX_TEXT {
        return text;
    }
    text.chars().take(MAX_TEXT - 1).chain(['…']).collect()
}

/// Sheets have a few dozen columns.
fn column(n: usize) -> u16 {
    u16::try_from(n).unwrap_or(u16::MAX)
}
