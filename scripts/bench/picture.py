"""The bench's results as a picture: bars of medians, with the spread of the rounds, on a scale of powers of ten."""

import math
import statistics

SHOWN = [
    ('confirm 16', 'publish with confirms, 16 B'),
    ('ack 16', 'consume with acks, 16 B'),
    ('confirm 1024', 'publish with confirms, 1 KiB'),
    ('ack 1024', 'consume with acks, 1 KiB'),
    ('confirm 65536', 'publish with confirms, 64 KiB'),
    ('ack 65536', 'consume with acks, 64 KiB'),
    ('ack-plain 16', 'wait for each delivery and ack it, 16 B'),
    ('wait 16', 'publish and wait, one by one, 16 B'),
]
COLOURS = {'floor': '#9aa0a6', 'puka': '#d9480f'}
OTHERS = '#5c7cfa'
WIDTH, BAR, LEFT, TOP = 420, 16, 90, 34


def panel(title, by_library, libraries):
    """One work: a bar a library. Returns its lines and its height."""
    shown = [library for library in libraries if library in by_library]
    values = {library: [result['cpu_us_per_message'] for result in by_library[library]] for library in shown}
    low = math.floor(math.log10(min(min(found) for found in values.values())))
    high = math.ceil(math.log10(max(max(found) for found in values.values())))
    high = max(high, low + 1)

    def x(value):
        return LEFT + (WIDTH - LEFT - 60) * (math.log10(value) - low) / (high - low)

    lines = [f'<text x="0" y="14" class="title">{title}</text>']
    bottom = TOP + BAR * len(shown)
    for power in range(low, high + 1):
        at = x(10 ** power)
        lines.append(f'<line x1="{at:.1f}" y1="{TOP - 6}" x2="{at:.1f}" y2="{bottom}" class="grid"/>')
        lines.append(f'<text x="{at:.1f}" y="{TOP - 9}" class="tick">{10 ** power:g}</text>')
    for index, library in enumerate(shown):
        y = TOP + BAR * index
        found = values[library]
        middle = statistics.median(found)
        colour = COLOURS.get(library, OTHERS)
        lines.append(f'<text x="{LEFT - 6}" y="{y + 12}" class="name">{library}</text>')
        lines.append(f'<rect x="{LEFT}" y="{y + 2}" width="{max(x(middle) - LEFT, 1):.1f}" height="{BAR - 5}" '
                     f'fill="{colour}"/>')
        lines.append(f'<line x1="{x(min(found)):.1f}" y1="{y + 7.5}" x2="{x(max(found)):.1f}" y2="{y + 7.5}" '
                     'class="spread"/>')
        lines.append(f'<text x="{x(max(found)) + 5:.1f}" y="{y + 12}" class="value">{middle:.3g}</text>')
    return lines, bottom + 18


def draw(result, libraries):
    results = result['brokers'].get('null') or next(iter(result['brokers'].values()))
    panels = [panel(title, results[name], libraries) for name, title in SHOWN if results.get(name)]
    lines, y = [], 44
    for left in range(0, len(panels), 2):
        row = panels[left:left + 2]
        for column, (drawn, _) in enumerate(row):
            lines.append(f'<g transform="translate({16 + column * (WIDTH + 20)},{y})">')
            lines += drawn + ['</g>']
        y += max(height for _, height in row)
    width = 2 * WIDTH + 52
    head = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{y + 8}" viewBox="0 0 {width} {y + 8}">',
        '<style>text{font:11px sans-serif;fill:#222}.title{font-weight:bold;font-size:12px}.name{text-anchor:end}'
        '.tick{text-anchor:middle;fill:#777;font-size:9px}.grid{stroke:#ddd}.spread{stroke:#222;stroke-width:1.5}'
        '</style>',
        f'<rect width="{width}" height="{y + 8}" fill="white"/>',
        '<text x="16" y="22" class="title">CPU time of the client, µs a message (log scale; bars are medians, lines '
        'the spread of the rounds)</text>',
    ]
    return '\n'.join(head + lines + ['</svg>']) + '\n'
