#!/bin/sh
# Build what the page of a report carries of ECharts and Tabulator: sh vendor/build.sh, with Node.js 20 or newer.
# It writes mnist_exp/reports/assets/vendor; the same lock file gives the same bytes.
set -eu
cd "$(dirname "$0")"
to=../mnist_exp/reports/assets/vendor
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp package.json package-lock.json echarts.js tabulator.js "$work"
(cd "$work" && npm ci --ignore-scripts --no-audit --no-fund && node node_modules/esbuild/install.js)
packages="$work/node_modules"

bundle() {  # name, its licence in one line
    (cd "$work" && node_modules/.bin/esbuild "$1.js" --bundle --minify --target=es2020 --format=iife \
        --global-name="$1" --legal-comments=none --banner:js="/* $2 */" --outfile="$1.min.js")
    cp "$work/$1.min.js" "$to/$1.min.js"
}

bundle echarts "Apache ECharts 6.1.0, Apache-2.0; with zrender 6.1.0, BSD-3-Clause, and tslib 2.3.0, 0BSD: echarts.LICENSE.txt"
bundle tabulator "Tabulator 6.5.3, MIT: tabulator.LICENSE.txt"
grep -v sourceMappingURL "$packages/tabulator-tables/dist/css/tabulator_simple.min.css" > "$to/tabulator.min.css"
{
    cat "$packages/echarts/NOTICE"
    printf '\n\n---------- Apache ECharts ----------\n\n'; cat "$packages/echarts/LICENSE"
    printf '\n\n---------- d3, parts of which are in ECharts ----------\n\n'; cat "$packages/echarts/licenses/LICENSE-d3"
    printf '\n\n---------- zrender ----------\n\n'; cat "$packages/zrender/LICENSE"
    printf '\n\n---------- tslib ----------\n\n'; cat "$packages/tslib/LICENSE.txt"
} > "$to/echarts.LICENSE.txt"
cp "$packages/tabulator-tables/LICENSE" "$to/tabulator.LICENSE.txt"
