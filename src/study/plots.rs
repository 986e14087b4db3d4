//! Pictures as PNG: curves and heat maps. Each is drawn in memory and written whole.

use crate::error::{Error, Result};
use crate::train::write_whole;
use image::{ImageEncoder, codecs::png::PngEncoder};
use plotters::coord::Shift;
use plotters::prelude::*;
use std::path::Path;
use std::sync::Once;

/// Okabe & Ito's palette, told apart by colour-blind readers too; black stands last.
const PALETTE: [RGBColor; 7] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
    RGBColor(0, 0, 0),
];

/// Points of viridis (van der Walt & Smith, matplotlib 2015), evenly spaced; between them colours are mixed.
const VIRIDIS: [(u8, u8, u8); 9] = [
    (68, 1, 84),
    (71, 44, 122),
    (59, 81, 139),
    (44, 113, 142),
    (33, 144, 141),
    (39, 173, 129),
    (92, 200, 99),
    (170, 220, 50),
    (253, 231, 37),
];

const FONT: &str = "sans-serif";
const GREY: RGBColor = RGBColor(90, 90, 90);

/// One curve; points that are not finite are left out.
#[derive(Clone, Debug, Default)]
pub struct Series {
    /// Its name in the legend.
    pub label: String,
    /// (x, y).
    pub points: Vec<(f64, f64)>,
}

/// One chart.
#[derive(Clone, Debug, Default)]
pub struct Panel {
    /// Above it.
    pub title: String,
    /// With unit.
    pub x_label: String,
    /// With unit.
    pub y_label: String,
    /// The powers of ten are evenly spaced; values up to 0 are left out.
    pub log_y: bool,
    /// Its curves.
    pub series: Vec<Series>,
}

/// Values over rows and time in colour, on a logarithmic scale.
#[derive(Clone, Debug, Default)]
pub struct HeatMap {
    /// Above it.
    pub title: String,
    /// The name of each row, the first at the top.
    pub rows: Vec<String>,
    /// With unit.
    pub x_label: String,
    /// The place of each column, ascending.
    pub x: Vec<f64>,
    /// For each row, a value per column; values up to 0 are left white.
    pub values: Vec<Vec<f64>>,
    /// What the colours mean, with unit.
    pub value_label: String,
}

/// Draws panels side by side into `path`.
///
/// # Errors
/// [`Error::Io`] where the file cannot be written.
pub fn curves(path: &Path, panels: &[Panel]) -> Result<()> {
    let size = (800 * panels.len().max(1) as u32, 600);
    picture(path, size, |area| {
        for (panel, area) in panels.iter().zip(area.split_evenly((1, panels.len().max(1)))) {
            draw_panel(panel, &area)?;
        }
        Ok(())
    })
}

/// Draws a heat map into `path`.
///
/// # Errors
/// [`Error::Io`] where the file cannot be written.
pub fn heat_map(path: &Path, map: &HeatMap) -> Result<()> {
    let size = (1400, 220 + 34 * map.rows.len().max(4) as u32);
    picture(path, size, |area| draw_heat_map(map, area))
}

type Area<'a> = DrawingArea<BitMapBackend<'a>, Shift>;
type Drawn = std::result::Result<(), Box<dyn std::error::Error>>;

fn picture(path: &Path, (width, height): (u32, u32), draw: impl FnOnce(&Area<'_>) -> Drawn) -> Result<()> {
    static FONTS: Once = Once::new();
    FONTS.call_once(|| {
        let registered = plotters::style::register_font(FONT, FontStyle::Normal, epaint_default_fonts::UBUNTU_LIGHT);
        assert!(registered.is_ok(), "the font that comes with the program can be read");
    });
    let mut pixels = vec![255; (width * height * 3) as usize];
    {
        let area = BitMapBackend::with_buffer(&mut pixels, (width, height)).into_drawing_area();
        let drawn = area.fill(&WHITE).map_err(Into::into).and_then(|()| draw(&area));
        drawn.map_err(|error| Error::option(path.display().to_string(), format!("cannot be drawn: {error}")))?;
    }
    let mut png = vec![];
    PngEncoder::new(&mut png)
        .write_image(&pixels, width, height, image::ExtendedColorType::Rgb8)
        .map_err(|error| Error::option(path.display().to_string(), format!("cannot be encoded: {error}")))?;
    write_whole(path, &png)
}

/// The span of finite values, widened where it is empty.
fn span(values: impl Iterator<Item = f64>) -> std::ops::Range<f64> {
    let (low, high) =
        values.filter(|v| v.is_finite()).fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)));
    match (low <= high, low < high) {
        (true, true) => low..high,
        (true, false) => low - 0.5 * low.abs().max(1e-12)..low + 0.5 * low.abs().max(1e-12),
        _ => 0.0..1.0,
    }
}

/// A label for an axis: short, in powers of ten where that is shorter.
fn number(v: &f64) -> String {
    let plain = format!("{}", (v * 1e6).round() / 1e6);
    if *v != 0.0 && (v.abs() < 1e-3 || v.abs() >= 1e5) { format!("{v:.0e}") } else { plain }
}

fn draw_panel(panel: &Panel, area: &Area<'_>) -> Drawn {
    let visible = |&(x, y): &(f64, f64)| x.is_finite() && y.is_finite() && (!panel.log_y || y > 0.0);
    let points = || panel.series.iter().flat_map(|series| series.points.iter().copied()).filter(visible);
    let (xs, ys) = (span(points().map(|p| p.0)), span(points().map(|p| p.1)));
    let mut builder = ChartBuilder::on(area);
    builder.margin(20).caption(&panel.title, (FONT, 26)).x_label_area_size(50).y_label_area_size(80);
    if panel.log_y {
        let mut chart = builder.build_cartesian_2d(xs, (ys.start / 1.3..ys.end * 1.3).log_scale())?;
        let mut mesh = chart.configure_mesh();
        mesh.y_label_formatter(&|v| format!("{v:.0e}"));
        mesh.x_desc(&panel.x_label).y_desc(&panel.y_label).label_style((FONT, 18)).light_line_style(WHITE).draw()?;
        draw_series(panel, visible, |line, name, colour| legend(chart.draw_series(line)?, name, colour))?;
        chart
            .configure_series_labels()
            .label_font((FONT, 18))
            .background_style(WHITE.mix(0.85))
            .border_style(GREY)
            .draw()?;
    } else {
        let margin = 0.04 * (ys.end - ys.start);
        let mut chart = builder.build_cartesian_2d(xs, ys.start - margin..ys.end + margin)?;
        let mut mesh = chart.configure_mesh();
        mesh.y_label_formatter(&number).x_label_formatter(&number);
        mesh.x_desc(&panel.x_label).y_desc(&panel.y_label).label_style((FONT, 18)).light_line_style(WHITE).draw()?;
        draw_series(panel, visible, |line, name, colour| legend(chart.draw_series(line)?, name, colour))?;
        chart
            .configure_series_labels()
            .label_font((FONT, 18))
            .background_style(WHITE.mix(0.85))
            .border_style(GREY)
            .draw()?;
    }
    Ok(())
}

type Line<'a> = LineSeries<BitMapBackend<'a>, (f64, f64)>;

fn draw_series<'a>(
    panel: &Panel,
    visible: impl Fn(&(f64, f64)) -> bool,
    mut draw: impl FnMut(Line<'a>, &str, RGBColor) -> Drawn,
) -> Drawn {
    for (i, series) in panel.series.iter().enumerate() {
        let colour = PALETTE[i % PALETTE.len()];
        let points: Vec<_> = series.points.iter().copied().filter(&visible).collect();
        draw(LineSeries::new(points, colour.stroke_width(2)).point_size(2), &series.label, colour)?;
    }
    Ok(())
}

fn legend(annotation: &mut plotters::chart::SeriesAnno<'_, BitMapBackend<'_>>, name: &str, colour: RGBColor) -> Drawn {
    annotation.label(name).legend(move |(x, y)| PathElement::new(vec![(x, y), (x + 22, y)], colour.stroke_width(3)));
    Ok(())
}

/// The colour of a place between 0 and 1.
fn viridis(place: f64) -> RGBColor {
    let scaled = place.clamp(0.0, 1.0) * (VIRIDIS.len() - 1) as f64;
    let low = (scaled as usize).min(VIRIDIS.len() - 2);
    let along = scaled - low as f64;
    let mix = |a: u8, b: u8| (f64::from(a) + (f64::from(b) - f64::from(a)) * along).round() as u8;
    let ((r0, g0, b0), (r1, g1, b1)) = (VIRIDIS[low], VIRIDIS[low + 1]);
    RGBColor(mix(r0, r1), mix(g0, g1), mix(b0, b1))
}

fn draw_heat_map(map: &HeatMap, area: &Area<'_>) -> Drawn {
    let logs = map.values.iter().flatten().filter(|v| **v > 0.0).map(|v| v.log10());
    let scale = span(logs);
    let xs = span(map.x.iter().copied());
    let (plot, bar) = area.split_horizontally(1220);
    let rows = map.rows.len().max(1) as i32;
    let name = |row: &i32| map.rows.get((rows - 1 - *row) as usize).cloned().unwrap_or_default();
    let mut chart = ChartBuilder::on(&plot)
        .margin(20)
        .caption(&map.title, (FONT, 26))
        .x_label_area_size(50)
        .y_label_area_size(190)
        .build_cartesian_2d(xs.clone(), (0..rows - 1).into_segmented())?;
    chart
        .configure_mesh()
        .disable_mesh()
        .x_desc(&map.x_label)
        .label_style((FONT, 18))
        .y_labels(rows as usize)
        .x_label_formatter(&number)
        .y_label_formatter(&|row| match row {
            SegmentValue::CenterOf(row) => name(row),
            _ => String::new(),
        })
        .draw()?;
    for (i, values) in map.values.iter().enumerate() {
        let row = rows - 1 - i as i32;
        for (j, value) in values.iter().enumerate().filter(|(_, value)| **value > 0.0) {
            let right = map.x.get(j + 1).copied().unwrap_or(xs.end);
            let colour = viridis((value.log10() - scale.start) / (scale.end - scale.start));
            let corners = [(map.x[j], SegmentValue::Exact(row)), (right, SegmentValue::Exact(row + 1))];
            chart.draw_series([Rectangle::new(corners, colour.filled())])?;
        }
    }
    draw_colour_bar(&bar, scale, &map.value_label)
}

fn draw_colour_bar(area: &Area<'_>, scale: std::ops::Range<f64>, label: &str) -> Drawn {
    let mut chart = ChartBuilder::on(area)
        .margin(20)
        .margin_top(60)
        .margin_bottom(70)
        .y_label_area_size(90)
        .build_cartesian_2d(0.0..1.0, scale.clone())?;
    chart
        .configure_mesh()
        .disable_mesh()
        .disable_x_axis()
        .y_desc(label)
        .label_style((FONT, 18))
        .y_labels(6)
        .y_label_formatter(&|exponent| format!("{:.0e}", 10f64.powf(*exponent)))
        .draw()?;
    let step = (scale.end - scale.start) / 200.0;
    chart.draw_series((0..200).map(|i| {
        let low = scale.start + f64::from(i) * step;
        Rectangle::new([(0.0, low), (1.0, low + step)], viridis(f64::from(i) / 199.0).filled())
    }))?;
    Ok(())
}
